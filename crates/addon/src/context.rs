//! The handle on a context store that `node/context.js` holds.
//!
//! Reads that find nothing and writes cross here one by one; answers come back many at once, after one wake.
//! Two pieces of memory are shared with JavaScript instead: words that say what it may serve of what it keeps,
//! and numbers that it counts.

use napi::bindgen_prelude::{
    ClassInstance, Either3, Float64Array, FnArgs, Function, Int32Array, Null, PromiseRaw,
};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Either, Env, Status};
use napi_derive::napi;
use node_red_cluster_core::config;
use node_red_cluster_core::context::near::{WORDS, Words};
use node_red_cluster_core::context::operation::Operation;
use node_red_cluster_core::context::path::Path;
use node_red_cluster_core::context::{Completion, Context, Patience, RevisionInUse, Usage};
use node_red_cluster_core::error::{Code, Error};
use node_red_cluster_core::keyspace::Scope;

use crate::cluster::ClusterHandle;
use crate::logging;
use crate::promise::{guarded, promise};
use crate::runtime::runtime;
use crate::wire::{AboutContext, OpenContextRequest, OperationRequest, parse, to_json};

/// Wakes JavaScript. It does not keep the process alive: whoever waits for an answer does.
type Wake = ThreadsafeFunction<(), (), (), Status, false, true>;

/// A value that was read, and the generation under which it may be kept.
type Kept = Either3<String, i32, Null>;

/// One context store.
#[napi(js_name = "NativeContext")]
pub struct ContextHandle {
    context: Context,
    warnings: Vec<String>,
    patience: Patience,
}

/// Opens a context store as settings.js says; `log` is called with a level and a line, `wake` when
/// `drain` has something. `cluster` is what the storage module opened, where it did.
///
/// # Errors
/// Settings that cannot work, with `code` `NRC_CONFIG_INVALID`.
#[napi(catch_unwind)]
pub fn open_context(
    env: &Env,
    options: String,
    log: Function<'_, FnArgs<(&'static str, String)>, ()>,
    wake: Function<'_, (), ()>,
    cluster: Option<ClassInstance<'_, ClusterHandle>>,
) -> napi::Result<ContextHandle> {
    logging::send_to(&log)?;
    let wake: Wake = wake.build_threadsafe_function().weak::<true>().build()?;
    let cluster = cluster.map(|cluster| cluster.cluster());
    let revision: RevisionInUse = match cluster.clone() {
        Some(cluster) => Box::new(move || cluster.revision_in_use()),
        None => Box::new(|| None),
    };
    guarded(env, || {
        let request: OpenContextRequest = parse(&options)?;
        let environment = |name: &str| std::env::var(name).ok();
        let parsed = config::parse_context(&request.settings, &request.config, &environment)
            .map_err(|error| Error::new(Code::ConfigInvalid, error.to_string()))?;
        let _runtime = runtime()
            .map_err(|error| Error::new(Code::Internal, error.reason))?
            .enter();
        let wake_up = Box::new(move || {
            wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
        });
        // The storage module has waited, and decided to start.
        let patience = match cluster {
            Some(_) => Patience::Short,
            None => Patience::Endless,
        };
        let context = Context::open(parsed.config, wake_up, revision)?;
        if let Some(cluster) = cluster {
            cluster.show_context(&context);
        }
        Ok(ContextHandle {
            context,
            patience,
            warnings: parsed.warnings,
        })
    })
}

#[napi]
impl ContextHandle {
    /// Store, prefix, limits and warnings about the settings, as JSON.
    #[napi(catch_unwind)]
    pub fn about(&self, env: &Env) -> napi::Result<String> {
        guarded(env, || {
            to_json(&AboutContext::new(
                self.context.settings(),
                self.context.store(),
                &self.warnings,
            ))
        })
    }

    /// Waits for the store.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn ready<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, ()>> {
        let (context, patience) = (self.context.clone(), self.patience);
        promise(
            env,
            async move { context.ready(patience).await },
            |_, ()| Ok(()),
        )
    }

    /// Epoch, generation, clock and newest settled write; written here, read by JavaScript.
    #[napi(catch_unwind, getter, ts_return_type = "Int32Array")]
    #[allow(unsafe_code)]
    pub fn words(&self) -> Int32Array {
        const { assert!(size_of::<Words>() == WORDS * size_of::<i32>()) };
        let keeper = self.context.clone();
        let words: *const Words = keeper.words();
        // SAFETY: `Words` is `repr(C)` and made of `WORDS` 32-bit atomics, which may be read while they are
        // written; the context that owns them lives until the array is collected. JavaScript never writes
        // them, and if it did, it would mislead only itself.
        unsafe {
            Int32Array::with_external_data(words as *mut i32, WORDS, move |_, _| drop(keeper))
        }
    }

    /// Hits, bytes kept, entries and evictions; written by JavaScript, read for the counters.
    #[napi(catch_unwind, getter, ts_return_type = "Float64Array")]
    #[allow(unsafe_code)]
    pub fn hits(&self) -> Float64Array {
        let keeper = self.context.clone();
        let usage: *const Usage = keeper.usage();
        let count = keeper.usage().len();
        // SAFETY: as with `words`; 64-bit floats and 64-bit atomics have the same size, and every pattern of
        // bits is a number.
        unsafe {
            Float64Array::with_external_data(usage as *mut f64, count, move |_, _| drop(keeper))
        }
    }

    /// The segments of an expression as a JSON array.
    #[napi(catch_unwind)]
    pub fn parse(&self, env: &Env, expression: String) -> napi::Result<String> {
        guarded(env, || Ok(Path::parse(&expression)?.to_json()))
    }

    /// Flat pairs of scope and name that changed; an empty name stands for the list of names.
    #[napi(catch_unwind)]
    pub fn take_invalidated(&self, env: &Env) -> napi::Result<Vec<String>> {
        guarded(env, || {
            let pairs = self.context.take_invalidated().into_iter();
            Ok(pairs
                .flat_map(|(scope, name)| [scope.into_string(), name])
                .collect())
        })
    }

    /// Asks for a property.
    #[napi(catch_unwind)]
    pub fn read(&self, env: &Env, id: u32, scope: String, name: String) -> napi::Result<()> {
        guarded(env, || {
            self.context.read(id, Scope::new(scope), name);
            Ok(())
        })
    }

    /// Reads properties while JavaScript waits: flat pairs of text and generation.
    #[napi(catch_unwind, ts_return_type = "(string | number | null)[]")]
    pub fn read_now(
        &self,
        env: &Env,
        scope: String,
        names: Vec<String>,
    ) -> napi::Result<Vec<Kept>> {
        guarded(env, || {
            let values = self.context.read_now(&Scope::new(scope), names)?;
            Ok(values.into_iter().flat_map(kept).collect())
        })
    }

    /// Asks for the names of a scope's properties.
    #[napi(catch_unwind)]
    pub fn names(&self, env: &Env, id: u32, scope: String) -> napi::Result<()> {
        guarded(env, || {
            self.context.names(id, Scope::new(scope));
            Ok(())
        })
    }

    /// Reads the names of a scope's properties while JavaScript waits.
    #[napi(catch_unwind, ts_return_type = "[string, number]")]
    pub fn names_now(&self, env: &Env, scope: String) -> napi::Result<Vec<Kept>> {
        guarded(env, || {
            Ok(kept(self.context.names_now(Scope::new(scope))?).into())
        })
    }

    /// Sets a whole property, or deletes it; returns the write's number.
    #[napi(catch_unwind)]
    pub fn set(
        &self,
        env: &Env,
        id: u32,
        scope: String,
        name: String,
        text: Either<String, Null>,
    ) -> napi::Result<i32> {
        self.written(env, id, |id| {
            self.context.set(id, Scope::new(scope), name, some(text))
        })
    }

    /// Sets or deletes what expressions address, together; returns the write's number.
    #[napi(catch_unwind)]
    pub fn change(
        &self,
        env: &Env,
        id: u32,
        scope: String,
        expressions: Vec<String>,
        texts: Vec<Either<String, Null>>,
    ) -> napi::Result<i32> {
        self.written(env, id, |id| {
            let texts = texts.into_iter().map(some);
            let changes = expressions.into_iter().zip(texts).collect();
            self.context.change(id, &Scope::new(scope), changes)
        })
    }

    /// Carries out one operation, given as JSON; returns the write's number.
    #[napi(catch_unwind)]
    pub fn operate(
        &self,
        env: &Env,
        id: u32,
        scope: String,
        expression: String,
        operation: String,
    ) -> napi::Result<i32> {
        self.written(env, id, |id| {
            let request: OperationRequest = parse(&operation)?;
            let operation = Operation::try_from(request)?;
            self.context
                .operate(id, Scope::new(scope), &expression, operation)
        })
    }

    /// The answers since the last call, flat: id, error code or null, text or null, generation.
    #[napi(catch_unwind, ts_return_type = "(string | number | null)[]")]
    pub fn drain(&self, env: &Env) -> napi::Result<Vec<Either3<String, f64, Null>>> {
        guarded(env, || {
            Ok(self.context.drain().into_iter().flat_map(flat).collect())
        })
    }

    /// Deletes everything in a scope.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn delete<'env>(
        &self,
        env: &'env Env,
        scope: String,
    ) -> napi::Result<PromiseRaw<'env, ()>> {
        let context = self.context.clone();
        let work = async move { context.delete(Scope::new(scope)).await };
        promise(env, work, |_, ()| Ok(()))
    }

    /// Deletes the scopes of nodes and flows that are gone.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn clean<'env>(
        &self,
        env: &'env Env,
        ids: Vec<String>,
    ) -> napi::Result<PromiseRaw<'env, ()>> {
        let context = self.context.clone();
        let work = async move {
            context.clean(ids).await;
            Ok(())
        };
        promise(env, work, |_, ()| Ok(()))
    }

    /// Waits for the writes that are on their way and leaves.
    #[napi(catch_unwind, ts_return_type = "Promise<void>")]
    pub fn close<'env>(&self, env: &'env Env) -> napi::Result<PromiseRaw<'env, ()>> {
        let context = self.context.clone();
        let work = async move {
            context.close().await;
            Ok(())
        };
        promise(env, work, |_, ()| Ok(()))
    }

    /// What operators see, as JSON.
    #[napi(catch_unwind)]
    pub fn counters(&self, env: &Env) -> napi::Result<String> {
        guarded(env, || to_json(&self.context.counters()))
    }
}

impl ContextHandle {
    fn written(
        &self,
        env: &Env,
        id: u32,
        write: impl FnOnce(Option<u32>) -> Result<u64, Error>,
    ) -> napi::Result<i32> {
        let number = guarded(env, || write((id != 0).then_some(id)))?;
        // Wraps, as the words do.
        Ok(number as i32)
    }
}

fn kept((text, generation): (Option<String>, i32)) -> [Kept; 2] {
    [
        text.map_or(Either3::C(Null), Either3::A),
        Either3::B(generation),
    ]
}

fn flat(completion: Completion) -> [Either3<String, f64, Null>; 4] {
    let (code, text) = match completion.outcome {
        Ok(text) => (Either3::C(Null), text.map_or(Either3::C(Null), Either3::A)),
        Err(error) => (
            Either3::A(error.code().as_str().to_owned()),
            Either3::A(error.message().to_owned()),
        ),
    };
    [
        Either3::B(completion.id.into()),
        code,
        text,
        Either3::B(completion.generation.into()),
    ]
}

fn some(text: Either<String, Null>) -> Option<String> {
    match text {
        Either::A(text) => Some(text),
        Either::B(_) => None,
    }
}
