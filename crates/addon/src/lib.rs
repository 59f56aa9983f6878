//! The face of `node-red-cluster-core` to Node.js: conversion, threads, nothing else.
//!
//! # Layout
//! - `cluster`: the handle on the cluster that `node/storage.js` holds
//! - `packages`: the packages of the cluster, on the same handle
//! - `context`: the handle on a context store that `node/context.js` holds
//! - `election`: the handle on the elections of this process that `node/leader/elections.js` holds
//! - `cli`: the command line, which runs in a Node.js process so that one artefact ships
//! - `wire`: what crosses, and its conversion
//! - `promise`: a future becomes a JavaScript promise, an error a JavaScript error with its code
//! - `runtime`: the one runtime of the process
//! - `logging`: log lines reach JavaScript
//!
//! Every export catches unwinding: a panic becomes an error, and Node.js goes on.

mod cli;
mod cluster;
mod context;
mod election;
mod logging;
mod packages;
mod promise;
mod runtime;
mod wire;
