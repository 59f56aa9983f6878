//! A future of the core becomes a JavaScript promise; an error of the core a JavaScript error.

use std::panic::{AssertUnwindSafe, catch_unwind};

use napi::bindgen_prelude::{JsObjectValue, Object, PromiseRaw, ToNapiValue};
use napi::{Env, JsValue};
use node_red_cluster_core::error::Error;
use node_red_cluster_core::fault;

use crate::runtime::runtime;

/// Runs `future` on the cluster's runtime and settles a promise with what `convert` makes of its
/// result on JavaScript's thread. A panic in the future rejects it.
pub(crate) fn promise<'env, T, J>(
    env: &'env Env,
    future: impl Future<Output = Result<T, Error>> + Send + 'static,
    convert: impl FnOnce(Env, T) -> napi::Result<J> + Send + 'static,
) -> napi::Result<PromiseRaw<'env, J>>
where
    T: Send + 'static,
    J: ToNapiValue + 'static,
{
    let (deferred, object) = env.create_deferred::<J, _>()?;
    let handle = runtime()?;
    handle.spawn(async move {
        let outcome = without_panic(future).await;
        // Nothing above this catches what unwinds.
        deferred.resolve(move |env| match outcome {
            Ok(value) => catch_unwind(AssertUnwindSafe(|| convert(env, value)))
                .unwrap_or_else(|_| Err(javascript_error(&env, &fault::error()))),
            Err(error) => Err(javascript_error(&env, &error)),
        });
    });
    Ok(PromiseRaw::new(env.raw(), object.raw()))
}

async fn without_panic<T: Send + 'static>(
    future: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    match tokio::spawn(future).await {
        Ok(outcome) => outcome,
        Err(ended) => Err(fault::of_task(&ended)),
    }
}

/// Runs `work` now, on JavaScript's thread, and throws its error with its code; also where it panics.
pub(crate) fn guarded<T>(env: &Env, work: impl FnOnce() -> Result<T, Error>) -> napi::Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(fault::error()))
        .map_err(|error| javascript_error(env, &error))
}

/// An `Error` whose `message` is the sentence and whose `code` is the stable code.
fn javascript_error(env: &Env, error: &Error) -> napi::Error {
    let build = || -> napi::Result<napi::Error> {
        let mut object: Object<'_> = env.create_error(napi::Error::from_reason(error.message()))?;
        object.set_named_property("code", error.code().as_str())?;
        Ok(napi::Error::from(object.to_unknown()))
    };
    build().unwrap_or_else(|_| napi::Error::from_reason(error.to_string()))
}
