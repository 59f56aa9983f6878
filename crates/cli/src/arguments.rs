//! The arguments as typed: words to values, each checked by itself. What they mean together is
//! decided by the command.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, value_parser};

/// The program's name in messages.
pub(crate) const PROGRAM: &str = "node-red-cluster";

/// Node-RED as a cluster.
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(UpArguments),
    MigrateContext(MigrateContextArguments),
}

/// Run a cluster on this machine: a store, an admin with the editor, and workers
///
/// Starts everything, shows who listens where, restarts what crashes, and stops it all on Ctrl-C.
/// What the cluster knows is kept in the directory given with --dir and found again at the next
/// start.
#[derive(Debug, Args)]
pub(crate) struct UpArguments {
    /// How many workers to run
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = value_parser!(u16).range(0..=64))]
    pub(crate) workers: u16,

    /// Port of the admin; the workers take the ports after it
    #[arg(long, value_name = "PORT", default_value_t = 1880, value_parser = value_parser!(u16).range(1..))]
    pub(crate) port: u16,

    /// Address to listen on
    ///
    /// The editor has no password until adminAuth is set in the directory's settings.js, so the
    /// default is reachable from this machine only.
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub(crate) host: IpAddr,

    /// Directory for everything that is kept between runs
    ///
    /// A settings.js in it, if you write one, is merged over the settings of every instance.
    #[arg(long, value_name = "DIR", default_value = ".node-red-cluster")]
    pub(crate) dir: PathBuf,

    /// Use the store at this URL and start none (redis://, rediss://, valkey://, valkeys://)
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
}

/// Give the context that the older package of this name left its place
///
/// Finds the values that are in no list of names yet, those under keys with the prefix twice
/// included, and shows what would be done with them. Nothing is changed unless --apply is given.
/// The cluster may run meanwhile, the older package may not. Run again, it goes on where it was
/// interrupted, and has nothing to do where it was not.
///
/// The store is the one of --settings or --url, else that of the environment variables VALKEY_URL,
/// VALKEY_HOST, VALKEY_PORT, VALKEY_USERNAME, VALKEY_PASSWORD and VALKEY_DB or the same with REDIS_,
/// else localhost:6379.
#[derive(Debug, Args)]
#[command(after_long_help = MIGRATE_CONTEXT_EXIT_CODES)]
pub(crate) struct MigrateContextArguments {
    /// Do it, instead of only showing what would be done
    #[arg(long)]
    pub(crate) apply: bool,

    /// Let a value with the prefix twice take the place of another one
    ///
    /// Without it the value under the right key is taken for the newer one: both keys are left as
    /// they are and reported.
    #[arg(long)]
    pub(crate) overwrite: bool,

    /// Use the store at this URL (redis://, rediss://, valkey://, valkeys://)
    ///
    /// Others on this machine can see a password in it; an environment variable or --settings keeps
    /// it from them.
    #[arg(long, value_name = "URL", conflicts_with = "settings")]
    pub(crate) url: Option<String>,

    /// Take the store and the prefix from the `valkey` block of this settings.js
    #[arg(long, value_name = "FILE")]
    pub(crate) settings: Option<PathBuf>,

    /// Prefix of the cluster's keys, as keyPrefix in settings.js [default: nodered:]
    #[arg(long, value_name = "PREFIX")]
    pub(crate) prefix: Option<String>,
}

const MIGRATE_CONTEXT_EXIT_CODES: &str = "\
Exit codes: 0 everything is in order, or would be with --apply; 1 it broke off; 2 it could not \
begin; 3 keys were left that need a decision; 130 it was interrupted";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(words: &[&str]) -> Result<UpArguments, clap::Error> {
        Arguments::try_parse_from([&[PROGRAM], words].concat()).map(|arguments| {
            let Command::Up(up) = arguments.command else {
                panic!("{words:?} is another command");
            };
            up
        })
    }

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn up_without_flags_is_two_workers_behind_1880_on_this_machine_only() {
        let up = parse(&["up"]).expect("valid");
        assert_eq!((up.workers, up.port), (2, 1880));
        assert!(up.host.is_loopback());
        assert_eq!(up.url, None);
    }

    #[test]
    fn values_out_of_range_are_refused_with_the_range() {
        let refusal = parse(&["up", "--workers", "65"])
            .expect_err("too many")
            .to_string();
        assert!(refusal.contains("0..=64"), "{refusal}");
        assert!(parse(&["up", "--port", "0"]).is_err());
        assert!(parse(&["up", "--port", "65536"]).is_err());
        assert!(parse(&["up", "--host", "nowhere"]).is_err());
    }
}
