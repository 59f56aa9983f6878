//! The options of one source, read by name and type. Every refusal names the source in its own
//! words.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Map, Value};

use super::value::{Given, shortened};
use crate::config::nearest::nearest;
use crate::config::options::{KnownOption, Purpose, find};
use crate::config::{ConfigError, Secret};

/// Largest number of milliseconds, about 24 days: the longest timer of Node.js.
pub(super) const LONGEST_MILLISECONDS: i64 = i32::MAX as i64;

/// Where options were written, for messages.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// In an object of `settings.js`. The path of the object in it ends with `.`; empty for the
    /// `valkey` block itself where no other block is read beside it.
    Block(String),
    /// In a URL. Its text is never shown, because there is a password in most of them.
    Url {
        /// The option or environment variable that holds the URL.
        option: String,
        /// What is shown for the URL.
        shown: String,
    },
    /// In environment variables, by the option that each stands for.
    Environment(BTreeMap<&'static str, String>),
}

/// The options of one source.
#[derive(Debug, Clone)]
pub(super) struct Source<'a> {
    values: &'a Map<String, Value>,
    origin: Origin,
}

impl<'a> Source<'a> {
    pub(super) fn new(values: &'a Map<String, Value>, origin: Origin) -> Self {
        Self { values, origin }
    }

    /// The same options, named as of another place.
    pub(super) fn under(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// The value of an option. An option of another type in JavaScript than expected is for
    /// [`Source::refuse`].
    pub(super) fn given(&self, name: &str) -> Given<'a> {
        self.values.get(name).map_or(Given::Nothing, Given::of)
    }

    /// The name of an option as the operator wrote it.
    pub(super) fn full_name(&self, name: &str) -> String {
        match &self.origin {
            Origin::Block(path) => format!("{path}{name}"),
            Origin::Url { option, .. } => option.clone(),
            Origin::Environment(variables) => variables
                .get(name)
                .map_or_else(|| name.to_owned(), Clone::clone),
        }
    }

    /// The error for an option with a value that cannot be used.
    pub(super) fn refuse(&self, name: &str, remedy: impl Into<String>) -> ConfigError {
        self.refuse_showing(name, self.given(name).shown(), remedy)
    }

    /// The error for an option whose value is shown in other words.
    pub(super) fn refuse_showing(
        &self,
        name: &str,
        shown: impl Into<String>,
        remedy: impl Into<String>,
    ) -> ConfigError {
        match &self.origin {
            Origin::Url { option, shown } => {
                let remedy = format!(
                    "its {name} does not fit: {}; special characters in it are written in percent \
                     encoding (/ as %2F, @ as %40, # as %23)",
                    remedy.into()
                );
                ConfigError::new(option, shown, remedy)
            }
            Origin::Block(_) | Origin::Environment(_) => {
                ConfigError::new(self.full_name(name), shown, remedy)
            }
        }
    }

    /// The options of an object that belongs to option `name`, `place` being its position in a list
    /// (`[1]`) or empty.
    pub(super) fn nested<'b>(
        &self,
        name: &str,
        place: &str,
        values: &'b Map<String, Value>,
    ) -> Source<'b> {
        let origin = match &self.origin {
            Origin::Block(path) => Origin::Block(format!("{path}{name}{place}.")),
            other => other.clone(),
        };
        Source { values, origin }
    }

    /// A text that is not empty.
    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, ConfigError> {
        match self.given(name) {
            Given::Nothing => Ok(None),
            Given::Text(text) if !text.trim().is_empty() => Ok(Some(text)),
            Given::Text(_) => {
                Err(self.refuse(name, "give a text that is not empty, or leave it out"))
            }
            _ => Err(self.refuse(name, "give a string")),
        }
    }

    /// A user name, password or passphrase. Empty counts as not given, as with ioredis.
    pub(super) fn credential(
        &self,
        name: &str,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Secret>, ConfigError> {
        match self.given(name) {
            Given::Nothing | Given::Text("") => Ok(None),
            Given::Text(text) => Ok(Some(Secret::new(text))),
            Given::Number(number) => {
                warnings.push(format!(
                    "option {} is a number and is used as text: write it in quotes, or zeros at its \
                     beginning and digits at its end may get lost",
                    self.full_name(name)
                ));
                Ok(Some(Secret::new(number.to_string())))
            }
            other => Err(self.refuse_showing(name, other.shown_as_secret(), "give a string")),
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, ConfigError> {
        match self.given(name) {
            Given::Nothing => Ok(None),
            Given::Boolean(boolean) => Ok(Some(boolean)),
            _ => Err(self.refuse(name, "give true or false, without quotes")),
        }
    }

    /// A whole number, also as text, which is how environment variables give it. `unit` stands
    /// after "whole number" in the remedy: ` of milliseconds`.
    pub(super) fn whole_number(
        &self,
        name: &str,
        range: RangeInclusive<i64>,
        unit: &str,
    ) -> Result<Option<i64>, ConfigError> {
        let number = match self.given(name) {
            Given::Nothing => return Ok(None),
            Given::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(whole)),
            Given::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        match number {
            Some(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(self.refuse(
                name,
                format!(
                    "give a whole number{unit} from {} to {}",
                    range.start(),
                    range.end()
                ),
            )),
        }
    }

    /// A time in milliseconds that is not zero.
    pub(super) fn milliseconds(&self, name: &str) -> Result<Option<Duration>, ConfigError> {
        let number = self.whole_number(name, 1..=LONGEST_MILLISECONDS, " of milliseconds")?;
        Ok(number.map(|number| Duration::from_millis(number.unsigned_abs())))
    }

    /// Warns of every option that is not in the table, not supported, or a function that nobody
    /// calls.
    pub(super) fn review(&self, table: &[KnownOption], warnings: &mut Vec<String>) {
        for (name, value) in self.values {
            let given = Given::of(value);
            let full_name = self.full_name(&shortened(name));
            match (find(table, name).map(|option| option.purpose), given) {
                (Some(Purpose::Instance | Purpose::Connection), _) | (_, Given::Nothing) => {}
                (None, _) => warnings.push(unknown_option(&full_name, nearest(table, name))),
                (Some(_), Given::Function) => warnings.push(format!(
                    "option {full_name} is a function, which is not used here: take it out"
                )),
                (Some(Purpose::Ignored), _) => {}
                (Some(Purpose::Unsupported), _) => warnings.push(format!(
                    "option {full_name} is not supported and has no effect: take it out{}",
                    replacement(name)
                )),
            }
        }
    }
}

fn unknown_option(full_name: &str, nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("unknown option {full_name} is not used: did you mean {nearest}?"),
        None => format!("unknown option {full_name} is not used"),
    }
}

/// What to write in place of an option that is not supported, where there is something.
fn replacement(name: &str) -> &'static str {
    match name {
        "redisOptions" => ", and write the options that it holds beside it",
        "pfx" => ", and give cert and key in PEM",
        _ => "",
    }
}

/// A number without a fraction that an `i64` holds exactly.
fn whole(number: f64) -> Option<i64> {
    const LARGEST_EXACT: f64 = 9_007_199_254_740_991.0;
    (number.fract() == 0.0 && number.abs() <= LARGEST_EXACT).then_some(number as i64)
}
