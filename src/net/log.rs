//! The log: one line an event, to stderr. Under systemd with journald's priority in front, otherwise with the time (UTC).
//!
//! What is logged may come from a peer, so nothing in a record can end its line or reach a terminal as a control character. That no
//! secret and no message body is passed in is the caller's duty. Records of other crates are written from `warn` upwards only: theirs below that
//! are about themselves.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::SystemTime;

use log::{Level, LevelFilter, Metadata, Record};

/// The target of a stanza's way, stage by stage (`snug run --trace`): written when tracing is on, whatever the level is, and never otherwise.
pub const TRACE: &str = "snug::trace";

/// Bytes of one record; what is longer is cut and says so. A peer's sentence cannot fill the journal at once.
pub const RECORD_BYTES: usize = 4096;

/// The process's logger; [`install`] puts it in place.
pub struct Log {
    level: AtomicUsize,
    trace: AtomicBool,
    journal: AtomicBool,
}

static LOG: Log = Log {
    level: AtomicUsize::new(Level::Info as usize),
    trace: AtomicBool::new(false),
    journal: AtomicBool::new(false),
};

/// Makes [`Log`] the process's logger; `trace` lets [`TRACE`] records through. A second call only changes both.
pub fn install(level: LevelFilter, trace: bool) {
    LOG.journal.store(
        is_journal(std::env::var("JOURNAL_STREAM").ok().as_deref()),
        Ordering::Relaxed,
    );
    LOG.trace.store(trace, Ordering::Relaxed);
    // It fails when a logger is in place, and that is this one.
    let _ = log::set_logger(&LOG);
    set_level(level);
}

/// Changes the level while the server runs (SIGHUP).
pub fn set_level(level: LevelFilter) {
    LOG.level.store(level as usize, Ordering::Relaxed);
    // The `log` crate's own gate stands before ours, and traces have to pass it.
    let traces = LOG.trace.load(Ordering::Relaxed);
    log::set_max_level(if traces { LevelFilter::Trace } else { level });
}

/// The text with its control characters, line ends and characters that turn the writing direction as escapes: it fits in one line and
/// does nothing to a terminal.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_invisible) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_invisible(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

impl log::Log for Log {
    fn enabled(&self, about: &Metadata<'_>) -> bool {
        if about.target() == TRACE {
            return self.trace.load(Ordering::Relaxed);
        }
        let ours = about.target() == "snug" || about.target().starts_with("snug::");
        about.level() as usize <= self.level.load(Ordering::Relaxed)
            && (ours || about.level() <= Level::Warn)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = line(
                record.level(),
                &record.args().to_string(),
                self.journal.load(Ordering::Relaxed),
                SystemTime::now(),
            );
            // One write a line: two threads' lines do not mix. There is nowhere left to report that stderr is gone.
            let _ = std::io::stderr().lock().write_all(line.as_bytes());
        }
    }

    fn flush(&self) {}
}

fn line(level: Level, text: &str, journal: bool, now: SystemTime) -> String {
    let mut out = String::with_capacity(text.len() + 40);
    // Writing to a String does not fail.
    let _ = if journal {
        write!(out, "<{}>", priority(level))
    } else {
        let level = level.as_str().to_ascii_lowercase();
        write!(out, "{} {level:5} ", humantime::format_rfc3339_millis(now))
    };
    let end = (0..=text.len().min(RECORD_BYTES))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    let kept = &text[..end];
    out.push_str(&visible(kept));
    if kept.len() < text.len() {
        let _ = write!(out, "… ({} more bytes)", text.len() - kept.len());
    }
    out.push('\n');
    out
}

/// syslog(3)'s numbers, as sd-daemon(3) wants them in front of a line.
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// Control characters (C0, DEL, C1), line and paragraph separators, and what turns the writing direction (UAX #9).
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

/// systemd.exec(5): JOURNAL_STREAM is `device:inode` of the stream that leads to the journal. A child whose stderr was redirected
/// inherits the variable but not the stream.
fn is_journal(variable: Option<&str>) -> bool {
    let stderr = std::io::stderr()
        .as_fd()
        .try_clone_to_owned()
        .map(std::fs::File::from);
    let about = stderr.and_then(|stderr| stderr.metadata());
    about.is_ok_and(|about| is_stream(variable.unwrap_or(""), about.dev(), about.ino()))
}

fn is_stream(variable: &str, device: u64, inode: u64) -> bool {
    let parts = variable.split_once(':');
    parts.is_some_and(|(first, second)| first.parse() == Ok(device) && second.parse() == Ok(inode))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_line_carries_time_or_priority() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000_000_123);
        assert_eq!(
            line(Level::Info, "hello", false, now),
            "2001-09-09T01:46:40.123Z info  hello\n"
        );
        assert_eq!(line(Level::Error, "hello", true, now), "<3>hello\n");
        assert_eq!(line(Level::Warn, "hello", true, now), "<4>hello\n");
        assert_eq!(line(Level::Info, "hello", true, now), "<6>hello\n");
        assert_eq!(line(Level::Debug, "hello", true, now), "<7>hello\n");
    }

    // HOLES row 37: a name with a line end must not forge a second event.
    #[test]
    fn a_peer_cannot_forge_a_line() {
        let now = SystemTime::UNIX_EPOCH;
        let forged = line(
            Level::Info,
            "login of eve\n<6>login of anna\r\x1b[2J\u{9b}31m\u{202e}\u{2028}",
            true,
            now,
        );
        assert_eq!(
            forged,
            "<6>login of eve\\n<6>login of anna\\r\\u{1b}[2J\\u{9b}31m\\u{202e}\\u{2028}\n"
        );
        assert_eq!(visible("größe 日本 ✓"), "größe 日本 ✓");
    }

    #[test]
    fn a_long_record_is_cut_between_characters() {
        let long = line(
            Level::Info,
            &"ä".repeat(RECORD_BYTES),
            true,
            SystemTime::UNIX_EPOCH,
        );
        assert_eq!(
            long,
            format!(
                "<6>{}… ({RECORD_BYTES} more bytes)\n",
                "ä".repeat(RECORD_BYTES / 2)
            )
        );
    }

    #[test]
    fn other_crates_are_heard_from_warn_upwards() {
        use log::Log as _;
        let logger = Log {
            level: AtomicUsize::new(LevelFilter::Debug as usize),
            trace: AtomicBool::new(false),
            journal: AtomicBool::new(false),
        };
        let enabled = |target: &str, level| {
            logger.enabled(&Metadata::builder().target(target).level(level).build())
        };
        assert!(enabled("snug::net", Level::Debug));
        assert!(!enabled("snug::net", Level::Trace));
        assert!(!enabled("sled::context", Level::Info));
        assert!(enabled("sled::context", Level::Warn));
        assert!(!enabled("snugger", Level::Info));
        assert!(!enabled(TRACE, Level::Error));
        logger.trace.store(true, Ordering::Relaxed);
        assert!(enabled(TRACE, Level::Trace));
    }

    #[test]
    fn the_journal_is_told_from_a_redirected_stream() {
        assert!(is_stream("9:31337", 9, 31337));
        assert!(!is_stream("9:31337", 9, 31338));
        assert!(!is_stream("9:31337", 8, 31337));
        assert!(!is_stream("", 0, 0) && !is_stream("9", 9, 0) && !is_stream("a:b", 0, 0));
    }
}
