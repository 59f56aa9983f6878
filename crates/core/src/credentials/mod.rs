//! The credentials of the flows: Node-RED's own encryption, under one secret for the whole cluster.
//!
//! The secret is created once, in one atomic step, and fingerprinted; an instance whose settings.js says
//! something else is refused, because with a wrong key it would run without credentials and then save
//! that over the good ones. Credentials are never stored in clear unless `credentialSecret: false` asks
//! for it.
//!
//! - [`cipher`]: Node-RED's scheme, a key, its fingerprint
//! - [`secret`]: the cluster's secret, and what is done with it
//! - `agreement`: the one secret, agreed on in the store
//! - [`keeper`]: what one process knows of it

mod agreement;
pub mod cipher;
pub mod keeper;
pub mod secret;

pub use agreement::establish;
pub use cipher::{Key, is_encrypted};
pub use keeper::SecretKeeper;
pub use secret::{ClusterSecret, Configured};
