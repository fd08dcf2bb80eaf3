//! Passwords on their way in: from a prompt, from one line of stdin, or made here. Never from an argument, which everybody on the machine can read.

use std::io::{BufRead, IsTerminal};

use ring::rand::{SecureRandom, SystemRandom};

use super::{Exit, Failure};

/// Bytes of a password; more is refused.
const PASSWORD_BYTES: usize = 1024;

/// 32 letters and digits that are not taken for one another; each is five bits.
const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz123456789";

/// A password, and whether it was made here and so has to be shown.
pub(super) struct Password {
    pub(super) text: String,
    pub(super) made: bool,
}

/// Asks twice at a terminal; takes a line of stdin with `--stdin`; makes one with `--generate`, or where nobody can be asked.
pub(super) fn obtain(name: &str, stdin: bool, generate: bool) -> Result<Password, Failure> {
    if stdin && generate {
        let says = "--stdin and --generate exclude each other: leave one out".to_owned();
        return Err(Failure {
            exit: Exit::Usage,
            says,
        });
    }
    if stdin {
        return Ok(Password {
            text: first_line(std::io::stdin().lock())?,
            made: false,
        });
    }
    if generate || !std::io::stdin().is_terminal() {
        return Ok(Password {
            text: make()?,
            made: true,
        });
    }
    let prompt = |text: String| {
        rpassword::prompt_password(text).map_err(|error| {
            Failure::from(format!(
                "cannot ask for the password: {error}; use --stdin or --generate"
            ))
        })
    };
    let text = prompt(format!("New password for {}: ", super::visible(name)))?;
    check(&text)?;
    if prompt("The same again: ".to_owned())? != text {
        return Err(Failure::from(
            "the two passwords differ: nothing was changed; try again".to_owned(),
        ));
    }
    Ok(Password { text, made: false })
}

fn first_line(input: impl BufRead) -> Result<String, Failure> {
    let mut line = Vec::new();
    // One byte more than allowed, and the line end.
    let read = input
        .take(PASSWORD_BYTES as u64 + 3)
        .read_until(b'\n', &mut line);
    read.map_err(|error| Failure::from(format!("cannot read the password from stdin: {error}")))?;
    if line.ends_with(b"\n") {
        line.pop();
        if line.ends_with(b"\r") {
            line.pop();
        }
    }
    let text = String::from_utf8(line).map_err(|_| {
        Failure::from("the password on stdin is not UTF-8: write it in UTF-8".to_owned())
    })?;
    check(&text)?;
    Ok(text)
}

fn check(password: &str) -> Result<(), Failure> {
    if password.is_empty() {
        return Err(Failure::from(
            "the password is empty: choose one, or let snug make one with --generate".to_owned(),
        ));
    }
    if password.len() > PASSWORD_BYTES {
        return Err(Failure::from(format!(
            "the password is longer than {PASSWORD_BYTES} bytes: choose a shorter one"
        )));
    }
    Ok(())
}

/// 80 random bits as four groups of four letters.
fn make() -> Result<String, Failure> {
    let mut random = [0; 16];
    SystemRandom::new().fill(&mut random).map_err(|_| {
        Failure::from(
            "the system gave no random bytes: choose a password yourself, with --stdin".to_owned(),
        )
    })?;
    Ok(spell(&random))
}

fn spell(random: &[u8; 16]) -> String {
    let letters: Vec<u8> = random
        .iter()
        .map(|byte| LETTERS[usize::from(byte % 32)])
        .collect();
    let groups: Vec<String> = letters
        .chunks(4)
        .map(|group| String::from_utf8_lossy(group).into_owned())
        .collect();
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stdin_gives_one_line() {
        let line = |bytes: &[u8]| first_line(bytes).map_err(|failure| failure.says);
        assert_eq!(
            line(b"secret word \nsecond\n").as_deref(),
            Ok("secret word ")
        );
        assert_eq!(line(b"secret\r\n").as_deref(), Ok("secret"));
        assert_eq!(line(b"secret").as_deref(), Ok("secret"));
        assert!(line(b"\n").unwrap_err().contains("empty"));
        assert!(line(b"").unwrap_err().contains("empty"));
        assert!(line(b"\xff\n").unwrap_err().contains("UTF-8"));
        assert_eq!(
            line(&[b'a'; PASSWORD_BYTES]).map(|text| text.len()),
            Ok(PASSWORD_BYTES)
        );
        assert!(line(&[b'a'; 5000]).unwrap_err().contains("longer"));
    }

    #[test]
    fn made_passwords_are_of_distinct_letters_and_differ() {
        let mut distinct = LETTERS.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 32);
        assert!(LETTERS.iter().all(|letter| !b"ilo0".contains(letter)));
        assert_eq!(
            spell(&[0, 1, 2, 3, 31, 32, 33, 255, 0, 0, 0, 0, 0, 0, 0, 8]),
            "abcd-9ab9-aaaa-aaaj"
        );
        assert_ne!(make().expect("random bytes"), make().expect("random bytes"));
    }
}
