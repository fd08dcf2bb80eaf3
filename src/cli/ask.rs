//! What the verbs of accounts and of rooms have in common: a request, to the running server or to the data directory, and its answer for people or programs.

use std::path::PathBuf;

use serde_json::{Map, Value};

use super::control::ask_or_open;
use super::{Failure, data_directory, print};
use crate::net::log::visible;

/// Where a verb asks: the data directory and the configuration file, as far as they were named.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    data: &'a Option<PathBuf>,
    config: &'a Option<PathBuf>,
}

/// The place that these flags name.
pub(super) fn at<'a>(data: &'a Option<PathBuf>, config: &'a Option<PathBuf>) -> Place<'a> {
    Place { data, config }
}

impl Place<'_> {
    /// The data directory: before somebody is asked for anything.
    pub(super) fn directory(&self) -> Result<PathBuf, Failure> {
        data_directory(self.data)
    }

    fn ask(&self, request: &Value) -> Result<Value, Failure> {
        ask_or_open(&self.directory()?, self.config, request)
    }

    /// Prints a list: a table in which these columns lead, or where there is nothing this sentence; or JSON.
    pub(super) fn list(
        &self,
        request: &Value,
        json: bool,
        first: &[&str],
        none: &str,
    ) -> Result<(), Failure> {
        let rows = print::rows(&self.ask(request)?);
        print::out(&match json {
            true => print::json(&Value::Array(rows)),
            false => print::table(&rows, first, none),
        });
        Ok(())
    }

    /// Prints one thing: a line for each field, in which these lead, after `said` has put them into words; or JSON.
    pub(super) fn show(
        &self,
        request: &Value,
        json: bool,
        first: &[&str],
        said: impl FnOnce(&mut Map<String, Value>),
    ) -> Result<(), Failure> {
        let mut fields = print::fields(&self.ask(request)?);
        print::out(&match json {
            true => print::json(&Value::Object(fields)),
            false => {
                said(&mut fields);
                print::details(&fields, first)
            }
        });
        Ok(())
    }

    /// Changes something, and prints what the server says of it.
    pub(super) fn change(&self, request: &Value, happened: &str) -> Result<(), Failure> {
        let answer = self.ask(request)?;
        let name = request["name"].as_str().unwrap_or_default();
        print::out(&done(&answer, name, happened));
        Ok(())
    }
}

/// The server's own sentence, or one with the full name where the answer has it.
fn done(answer: &Value, name: &str, happened: &str) -> String {
    match answer["message"].as_str() {
        Some(message) => format!("{}\n", visible(message)),
        None => format!(
            "{} {happened}.\n",
            visible(answer["jid"].as_str().unwrap_or(name))
        ),
    }
}
