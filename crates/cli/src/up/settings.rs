//! The settings.js that Node-RED is started with, one per instance.

use std::path::Path;

use serde_json::json;

use super::plan::{ADMIN_ROOT, Instance, NODE_ROOT, Plan, Role};
use super::store_url::StoreUrl;

/// The text of an instance's settings.js.
///
/// Options of the user's own win over these, except for those that `up` itself relies on: where
/// the instance listens and who it is.
pub(super) fn settings(
    plan: &Plan,
    instance: &Instance,
    store: &StoreUrl,
    package_root: &Path,
) -> String {
    let admin_root = match instance.role {
        Role::Admin => json!(ADMIN_ROOT),
        Role::Worker => json!(false),
    };
    let own_settings = plan.directory.own_settings();
    format!(
        r#"// Written by `node-red-cluster up` at each start: changes made here are lost.
//
// Options of your own belong in {own_display}, which `up` never writes.
// What it exports is merged over these settings, its `valkey` block option by option. It may
// export an object, or a function of {{ name, role }} that returns one, to tell the instances
// apart. Where an instance listens (uiHost, uiPort) and its role stay as `up` was told.
'use strict';

const {{ existsSync }} = require('node:fs');

const instance = {instance};
const ownFile = {own_file};
const exported = existsSync(ownFile) ? require(ownFile) : {{}};
const own = typeof exported === 'function' ? exported(instance) : exported;

module.exports = {{
  storageModule: require({storage}),
  contextStorage: {{ default: {{ module: require({context}) }} }},
  flowFile: 'flows.json',
  httpAdminRoot: {admin_root},
  httpNodeRoot: {node_root},
  logging: {{ console: {{ level: 'info', metrics: false, audit: false }} }},
  ...own,
  valkey: {{ url: {url}, ...own.valkey, role: instance.role }},
  nodesDir: [{package}].concat(own.nodesDir ?? []),
  uiHost: {host},
  uiPort: {port},
}};
"#,
        own_display = single_line(&own_settings),
        instance = json!({ "name": instance.name, "role": instance.role.name() }),
        own_file = json!(own_settings),
        storage = json!(package_root.join("node").join("storage.js")),
        context = json!(package_root.join("node").join("context.js")),
        node_root = json!(NODE_ROOT),
        url = json!(store.with_password()),
        // Nodes are found in user directories and beside Node-RED, and this package may be elsewhere.
        package = json!(package_root),
        host = json!(plan.host),
        port = instance.port,
    )
}

/// A path inside a comment must not end it.
fn single_line(path: &Path) -> String {
    path.display().to_string().replace(['\r', '\n'], " ")
}

#[cfg(test)]
mod tests {
    use crate::up::directory::Directory;

    use super::*;

    fn settings_of(index: usize) -> String {
        let instance = |name: &str, role, port| Instance {
            name: name.to_owned(),
            role,
            port,
            user_directory: format!("/data/{name}").into(),
        };
        let plan = Plan {
            directory: Directory::at("/data \"quoted\"".into()),
            store: None,
            host: "127.0.0.1".parse().expect("an address"),
            instances: vec![
                instance("admin", Role::Admin, 1880),
                instance("worker-1", Role::Worker, 1881),
            ],
            node_red: "/red.js".into(),
        };
        let store = StoreUrl::parse("redis://:pa$$@store").expect("valid");
        settings(&plan, &plan.instances[index], &store, Path::new("/package"))
    }

    #[test]
    fn the_admin_has_an_editor_and_a_worker_has_none() {
        assert!(settings_of(0).contains(r#"httpAdminRoot: "/admin","#));
        assert!(settings_of(1).contains("httpAdminRoot: false,"));
        assert!(settings_of(1).contains(r#"{"name":"worker-1","role":"worker"}"#));
        assert!(settings_of(1).contains("uiPort: 1881,"));
    }

    #[test]
    fn paths_and_secrets_are_written_as_strings_of_javascript() {
        let text = settings_of(0);
        assert!(text.contains(r#"require("/package/node/storage.js")"#));
        assert!(text.contains(r#""/data \"quoted\"/settings.js""#));
        assert!(text.contains(r#"url: "redis://:pa$$@store","#));
    }

    #[test]
    fn the_nodes_of_this_package_are_found_beside_those_of_the_user() {
        assert!(settings_of(0).contains(r#"nodesDir: ["/package"].concat(own.nodesDir ?? []),"#));
    }
}
