//! The packages of the cluster, for the JavaScript layer.

use napi::bindgen_prelude::{Null, PromiseRaw};
use napi::{Either, Env};
use napi_derive::napi;

use crate::cluster::ClusterHandle;
use crate::promise::{guarded, promise};
use crate::wire::{DescribedAtStart, parse, to_json};

#[napi]
impl ClusterHandle {
    /// Node sets to disable and to enable, and modules to forget, before the palette is loaded, as JSON.
    #[napi(catch_unwind)]
    pub fn packages_at_start(&self, env: &Env) -> napi::Result<String> {
        guarded(env, || {
            to_json(&DescribedAtStart::from(self.cluster().packages_at_start()))
        })
    }

    /// Waits for something that packages need of Node-RED's own process; resolves to it as JSON, to null when
    /// the cluster is closed.
    #[napi(catch_unwind, ts_return_type = "Promise<string | null>")]
    pub fn next_packages_job<'env>(
        &self,
        env: &'env Env,
    ) -> napi::Result<PromiseRaw<'env, Either<String, Null>>> {
        let cluster = self.cluster();
        promise(
            env,
            async move {
                let job = cluster.next_packages_job().await;
                job.as_ref().map(to_json).transpose()
            },
            |_, job| Ok(job.map_or(Either::B(Null), Either::A)),
        )
    }

    /// Says how the job ended, as JSON.
    #[napi(catch_unwind)]
    pub fn packages_job_done(&self, env: &Env, outcome: String) -> napi::Result<()> {
        guarded(env, || {
            self.cluster().packages_job_done(parse(&outcome)?);
            Ok(())
        })
    }

    /// npm changed the admin's user directory.
    #[napi(catch_unwind)]
    pub fn packages_changed(&self, env: &Env) -> napi::Result<()> {
        guarded(env, || {
            self.cluster().packages_changed();
            Ok(())
        })
    }

    /// The admin's palette is like this now, as JSON.
    #[napi(catch_unwind)]
    pub fn palette(&self, env: &Env, palette: String) -> napi::Result<()> {
        guarded(env, || {
            self.cluster().palette(parse(&palette)?);
            Ok(())
        })
    }

    /// Resolves to those of these modules of Function nodes that have yet to come from the admin.
    #[napi(catch_unwind, ts_return_type = "Promise<string[]>")]
    pub fn lacking_modules<'env>(
        &self,
        env: &'env Env,
        names: Vec<String>,
    ) -> napi::Result<PromiseRaw<'env, Vec<String>>> {
        let cluster = self.cluster();
        promise(
            env,
            async move { cluster.lacking_modules(names).await },
            |_, lacking| Ok(lacking),
        )
    }

    /// Node-RED did not start the flows of its start, because these modules are missing.
    #[napi(catch_unwind)]
    pub fn stalled(&self, env: &Env, missing_modules: Vec<String>) -> napi::Result<()> {
        guarded(env, || {
            self.cluster().stalled(missing_modules);
            Ok(())
        })
    }
}
