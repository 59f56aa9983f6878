//! How an instance is configured.

use clap::Args;
use node_red_cluster_core::config::{Config, ContextSettings, ElectionSettings};
use node_red_cluster_core::config::{parse, parse_context, parse_election};
use serde_json::{Value, json};

use crate::Result;

/// Where the store is, and whose keys there.
#[derive(Debug, Clone, Args)]
pub(crate) struct Store {
    /// Host of the store.
    #[arg(long)]
    pub(crate) host: String,
    /// Port of the store.
    #[arg(long)]
    pub(crate) port: u16,
    /// First part of every key.
    #[arg(long, default_value = "bench:")]
    pub(crate) prefix: String,
}

impl Store {
    /// The `valkey` block of an instance. Links are shared by those who are configured alike, as the parts of
    /// one Node-RED are, so each instance names its own.
    fn block(&self, instance: &str) -> Value {
        json!({
            "role": "worker",
            "host": self.host,
            "port": self.port,
            "keyPrefix": self.prefix,
            "connectionName": instance,
        })
    }

    /// Of an instance as the storage module reads it.
    ///
    /// # Errors
    /// Options that cannot be used.
    pub(crate) fn cluster(&self, instance: &str) -> Result<Config> {
        Ok(parse(&self.block(instance).to_string(), &|_| None)?.config)
    }

    /// Of its context store.
    ///
    /// # Errors
    /// As [`Store::cluster`].
    pub(crate) fn context(&self, instance: &str) -> Result<ContextSettings> {
        Ok(parse_context(&self.block(instance).to_string(), "null", &|_| None)?.config)
    }

    /// Of its leader nodes.
    ///
    /// # Errors
    /// As [`Store::cluster`].
    pub(crate) fn election(&self, instance: &str) -> Result<ElectionSettings> {
        Ok(parse_election(&self.block(instance).to_string(), "null", &|_| None)?.settings)
    }
}
