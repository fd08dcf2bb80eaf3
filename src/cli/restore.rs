//! `snug restore`: a backup takes the place of what is there.

use std::path::PathBuf;

use argh::{ArgsInfo, FromArgs};

use super::{Failure, data_directory, print};

/// put a backup of accounts, contacts, waiting messages, PEP and rooms in the place of those that are there, with snug stopped
#[derive(FromArgs, ArgsInfo, Debug)]
#[argh(
    subcommand,
    name = "restore",
    help_triggers("--help", "-h"),
    example = "{command_name} /var/lib/snug/backup/main.dump",
    note = "snug writes backup/main.dump in its data directory once a day, and backup/main.schema-N.dump before an upgrade changes how data is stored. What was there is kept in a folder `replaced-N`."
)]
pub(super) struct Restore {
    /// the backup
    #[argh(positional)]
    file: PathBuf,
    /// the data directory
    #[argh(option, arg_name = "dir")]
    data: Option<PathBuf>,
}

impl Restore {
    pub(super) fn run(self) -> Result<(), Failure> {
        let data = data_directory(&self.data)?;
        let aside = crate::restore(&data, &self.file)?;
        print::out(&format!("{} was restored.\n", self.file.display()));
        if let Some(aside) = aside {
            print::out(&format!("What was there is in {}.\n", aside.display()));
        }
        Ok(())
    }
}
