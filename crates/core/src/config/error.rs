//! The one error of this module.

use std::fmt;

/// An option that can never work. The operator has to change it before an instance can start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Where the value was written: `port`, `sentinels[1].port`, `tls.ca`, `REDIS_PORT`.
    pub option: String,
    /// The value as written, shortened, or what kind of value it is. Never a secret.
    pub value: String,
    /// What to do about it, to be read after a colon.
    pub remedy: String,
}

impl ConfigError {
    pub(super) fn new(
        option: impl Into<String>,
        value: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            option: option.into(),
            value: value.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "option {} is {}: {}.",
            self.option, self.value, self.remedy
        )
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_names_option_value_and_remedy() {
        let error = ConfigError::new("port", "70000", "give a whole number from 1 to 65535");
        assert_eq!(
            error.to_string(),
            "option port is 70000: give a whole number from 1 to 65535."
        );
    }
}
