//! The table of all options by name.

/// One option as an operator writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownOption {
    /// Name in `settings.js`.
    pub name: &'static str,
    /// What becomes of it.
    pub purpose: Purpose,
    /// Type, with its unit where it has one.
    pub kind: &'static str,
    /// Meaning in a few words. Empty for options that are not used.
    pub doc: &'static str,
}

/// What becomes of an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Read for the instance: role, keys and channels, presence.
    Instance,
    /// Read for the connection to the store.
    Connection,
    /// An option of ioredis that changes nothing here. Accepted in silence unless it is a function.
    Ignored,
    /// An option of ioredis that would change something and is not supported. Accepted with one
    /// warning.
    Unsupported,
}

const fn instance(name: &'static str, kind: &'static str, doc: &'static str) -> KnownOption {
    KnownOption {
        name,
        purpose: Purpose::Instance,
        kind,
        doc,
    }
}

const fn connection(name: &'static str, kind: &'static str, doc: &'static str) -> KnownOption {
    KnownOption {
        name,
        purpose: Purpose::Connection,
        kind,
        doc,
    }
}

const fn ignored(name: &'static str) -> KnownOption {
    KnownOption {
        name,
        purpose: Purpose::Ignored,
        kind: "any",
        doc: "",
    }
}

const fn unsupported(name: &'static str) -> KnownOption {
    KnownOption {
        name,
        purpose: Purpose::Unsupported,
        kind: "any",
        doc: "",
    }
}

/// Every option of the `valkey` block. The table in docs/settings.md says the same.
pub const OPTIONS: &[KnownOption] = &[
    instance("role", "'admin' | 'worker'", "who this instance is"),
    instance("keyPrefix", "string", "prefix of every key"),
    instance("updateChannel", "string", "channel of flow updates"),
    instance("packageChannel", "string", "channel of package updates"),
    instance(
        "debugChannel",
        "string",
        "channel of forwarded debug messages",
    ),
    instance(
        "syncPackages",
        "boolean",
        "whether workers follow the admin's palette packages",
    ),
    instance(
        "packageSource",
        "'registry' | 'store'",
        "where workers get packages from; an admin with 'store' packs them for workers without a registry",
    ),
    instance(
        "restartPolicy",
        "'exit' | 'manual'",
        "what a worker does when packages need a restart",
    ),
    instance(
        "ignoreScripts",
        "boolean",
        "whether packages are installed without running their install scripts",
    ),
    instance(
        "signingKey",
        "string | list of two",
        "signs revisions and packages; the second key of a list is accepted besides",
    ),
    instance(
        "enableCompression",
        "boolean",
        "whether stored values over 1 KB are compressed",
    ),
    instance("sessionTTL", "seconds", "lifetime of editor sessions"),
    instance("timeout", "ms", "limit of one context operation"),
    instance(
        "nearCache",
        "object | boolean",
        "context values kept in this process",
    ),
    instance(
        "offlineReads",
        "'fail' | 'last-known'",
        "what a synchronous read of context does while the store is away",
    ),
    instance("maxValueBytes", "bytes", "longest value of context"),
    instance(
        "maxPendingWrites",
        "number",
        "writes of context that may wait for the store",
    ),
    instance(
        "maxPendingBytes",
        "bytes",
        "bytes of the writes of context that may wait for the store",
    ),
    instance("clusterMonitoring", "object", "presence of instances"),
    instance(
        "adminMayLead",
        "'if-no-worker' | boolean",
        "whether an admin may be the leader of leader nodes",
    ),
    connection(
        "url",
        "string",
        "address of the store; the options below win over it",
    ),
    connection("host", "string", "host name or address"),
    connection("port", "number", "TCP port"),
    connection("path", "string", "unix socket"),
    connection("username", "string", "ACL user"),
    connection("password", "string", "password of the user"),
    connection("db", "number", "number of the database"),
    connection(
        "family",
        "4 | 6 | 0",
        "version of IP that host names are resolved to, 0 for any",
    ),
    connection(
        "sentinels",
        "list of {host, port}",
        "addresses of sentinels",
    ),
    connection(
        "name",
        "string",
        "name of the group that the sentinels watch",
    ),
    connection("sentinelUsername", "string", "ACL user at the sentinels"),
    connection("sentinelPassword", "string", "password at the sentinels"),
    connection(
        "sentinelTLS",
        "object | boolean",
        "TLS to the sentinels; true: as in tls",
    ),
    connection(
        "enableTLSForSentinelMode",
        "boolean",
        "whether tls holds where sentinels are used",
    ),
    connection(
        "tls",
        "object | boolean",
        "TLS to the servers; true: with the system's roots",
    ),
    connection(
        "cluster",
        "list of {host, port}",
        "addresses of nodes of a cluster",
    ),
    connection("connectTimeout", "ms", "limit of connecting"),
    connection("commandTimeout", "ms", "limit of one command"),
    connection(
        "keepAlive",
        "ms",
        "idle time before TCP checks the peer, 0 for the default",
    ),
    connection("connectionName", "string", "name in CLIENT LIST"),
    ignored("allowUsernameInURI"),
    ignored("autoPipeliningIgnoredCommands"),
    ignored("autoResendUnfulfilledCommands"),
    ignored("autoResubscribe"),
    ignored("blockingTimeout"),
    ignored("blockingTimeoutGrace"),
    ignored("clientInfoTag"),
    ignored("clusterNodeRetryStrategy"),
    ignored("clusterRetryStrategy"),
    ignored("disableClientInfo"),
    ignored("disconnectTimeout"),
    ignored("dropBufferSupport"),
    ignored("enableAutoPipelining"),
    ignored("enableOfflineQueue"),
    ignored("enableReadyCheck"),
    ignored("failoverDetector"),
    ignored("lazyConnect"),
    ignored("maxLoadingRetryTime"),
    ignored("maxRedirections"),
    ignored("maxRetriesPerRequest"),
    ignored("maxScriptsCachingTime"),
    ignored("monitor"),
    ignored("noDelay"),
    ignored("reconnectOnError"),
    ignored("retryDelayOnClusterDown"),
    ignored("retryDelayOnFailover"),
    ignored("retryDelayOnMoved"),
    ignored("retryDelayOnTryAgain"),
    ignored("retryStrategy"),
    ignored("scripts"),
    ignored("sentinelCommandTimeout"),
    ignored("sentinelMaxConnections"),
    ignored("sentinelReconnectStrategy"),
    ignored("sentinelRetryStrategy"),
    ignored("shardedSubscribers"),
    ignored("showFriendlyErrorStack"),
    ignored("slotsRefreshInterval"),
    ignored("slotsRefreshTimeout"),
    ignored("socketTimeout"),
    ignored("stringNumbers"),
    ignored("updateSentinels"),
    unsupported("Connector"),
    unsupported("connector"),
    unsupported("dnsLookup"),
    unsupported("localAddress"),
    unsupported("localPort"),
    unsupported("lookup"),
    unsupported("natMap"),
    unsupported("preferredSlaves"),
    unsupported("readOnly"),
    unsupported("redisOptions"),
    unsupported("resolveSrv"),
    unsupported("scaleReads"),
    unsupported("useSRVRecords"),
];

/// Every option of `clusterMonitoring`.
pub const MONITORING_OPTIONS: &[KnownOption] = &[
    instance(
        "enabled",
        "boolean",
        "whether this instance shows that it is alive",
    ),
    instance(
        "heartbeatInterval",
        "ms",
        "time from one heartbeat to the next",
    ),
    instance(
        "heartbeatTTL",
        "ms",
        "time without a heartbeat after which an instance is gone",
    ),
];

/// Every option of `nearCache`.
pub const NEAR_CACHE_OPTIONS: &[KnownOption] = &[
    instance("enabled", "boolean", "whether values are kept"),
    instance("maxBytes", "bytes", "how much memory they may take"),
    instance(
        "maxAge",
        "ms",
        "age at which a value is read anew although nothing was heard of a change",
    ),
];

/// Every option of `tls` and `sentinelTLS`.
pub const TLS_OPTIONS: &[KnownOption] = &[
    connection(
        "ca",
        "PEM string, Buffer or a list of them",
        "authorities that are trusted",
    ),
    connection(
        "cert",
        "PEM string, Buffer or a list of them",
        "certificate of this client",
    ),
    connection("key", "PEM string or Buffer", "private key of this client"),
    connection("passphrase", "string", "passphrase of an encrypted key"),
    connection(
        "servername",
        "string",
        "name that the server's certificate must carry",
    ),
    connection(
        "rejectUnauthorized",
        "boolean",
        "whether the server's certificate is checked",
    ),
    ignored("enableTrace"),
    ignored("highWaterMark"),
    ignored("minDHSize"),
    ignored("requestCert"),
    ignored("requestOCSP"),
    ignored("session"),
    ignored("timeout"),
    unsupported("ALPNProtocols"),
    unsupported("allowPartialTrustChain"),
    unsupported("checkServerIdentity"),
    unsupported("ciphers"),
    unsupported("crl"),
    unsupported("dhparam"),
    unsupported("ecdhCurve"),
    unsupported("host"),
    unsupported("lookup"),
    unsupported("maxVersion"),
    unsupported("minVersion"),
    unsupported("pfx"),
    unsupported("port"),
    unsupported("secureContext"),
    unsupported("secureOptions"),
    unsupported("secureProtocol"),
    unsupported("sigalgs"),
];

/// Every option of an address in `sentinels` and `cluster`.
pub const ADDRESS_OPTIONS: &[KnownOption] = &[
    connection("host", "string", "host name or address"),
    connection("port", "number", "TCP port"),
    ignored("family"),
];

/// The option of that very name.
pub(super) fn find<'a>(table: &'a [KnownOption], name: &str) -> Option<&'a KnownOption> {
    table.iter().find(|option| option.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_table_has_a_name_twice() {
        for table in [
            OPTIONS,
            MONITORING_OPTIONS,
            NEAR_CACHE_OPTIONS,
            TLS_OPTIONS,
            ADDRESS_OPTIONS,
        ] {
            let mut names: Vec<_> = table.iter().map(|option| option.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), table.len());
        }
    }
}
