//! `snug cert …`: the local certificate authority.

use std::io::ErrorKind;
use std::path::PathBuf;

use argh::{ArgsInfo, FromArgs};

use super::{Failure, data_directory, print};

/// the local certificate authority
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand, name = "cert", help_triggers("--help", "-h", "help"))]
pub(super) struct Cert {
    #[argh(subcommand)]
    verb: CertVerb,
}

#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(subcommand)]
enum CertVerb {
    Ca(Ca),
}

/// print the certificate of snug's own authority as PEM, to install on phones and computers
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "ca",
    help_triggers("--help", "-h"),
    example = "{command_name} > snug-ca.pem"
)]
struct Ca {
    /// the data directory
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,
}

impl Cert {
    pub(super) fn run(self) -> Result<(), Failure> {
        let CertVerb::Ca(Ca { data }) = self.verb;
        let file = data_directory(&data)?.join("tls").join("ca.pem");
        match std::fs::read_to_string(&file) {
            Ok(pem) => {
                print::out(&pem);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Err(Failure::from(format!(
                "there is no {}: the first `snug run` makes it, unless tls.certificate in snug.toml names your own; \
                 or name snug's directory with --data",
                file.display()
            ))),
            Err(error) => Err(Failure::from(format!(
                "{} cannot be read: {error}; run this as the user that snug runs as, for example with `sudo -u snug`",
                file.display()
            ))),
        }
    }
}
