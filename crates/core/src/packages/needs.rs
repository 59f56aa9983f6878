//! What flows need of packages: node types, and modules of Function nodes.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::list::PackageList;
use super::name::PackageName;
use super::store::Types;

/// What flows need.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    types: BTreeSet<String>,
    modules: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Node {
    #[serde(rename = "type", default)]
    node_type: String,
    /// Disabled.
    #[serde(default)]
    d: Option<bool>,
    /// Of Function nodes.
    #[serde(default)]
    libs: serde_json::Value,
}

impl Needs {
    /// Of a flow configuration; nothing where it is none.
    pub(super) fn of(flows: &str) -> Self {
        let nodes: Vec<Node> = serde_json::from_str(flows).unwrap_or_default();
        let mut needs = Self::default();
        for node in nodes {
            if node.d != Some(true)
                && let Some(libs) = node.libs.as_array()
            {
                let names = libs.iter().filter_map(|lib| lib.get("module")?.as_str());
                needs.modules.extend(names.map(module_name));
            }
            needs.types.insert(node.node_type);
        }
        needs
    }

    /// Which of these packages the flows need.
    pub(super) fn among<'list>(
        &self,
        list: &'list PackageList,
        types: &Types,
    ) -> Vec<&'list PackageName> {
        let needed = |name: &&PackageName| {
            self.modules.contains(name.as_str())
                || types
                    .get(*name)
                    .is_some_and(|own| own.iter().any(|name| self.types.contains(name)))
        };
        list.packages.keys().filter(needed).collect()
    }
}

/// The package of what a Function node names: `lodash/fp`, `@scope/name/part` and `name@1.0.0` too.
fn module_name(text: &str) -> String {
    let (scope, rest) = match text.strip_prefix('@').and_then(|rest| rest.split_once('/')) {
        Some((scope, rest)) => (Some(scope), rest),
        None => (None, text),
    };
    let name = rest.split(['/', '@']).next().unwrap_or_default();
    match scope {
        Some(scope) => format!("@{scope}/{name}"),
        None => name.to_owned(),
    }
}

#[cfg(any(test, feature = "fuzzing"))]
/// See [`crate::fuzzing`].
pub(crate) fn fuzz(flows: &str) {
    drop(Needs::of(flows));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_and_modules_lead_to_their_packages() {
        let flows = json!([
            {"id": "1", "type": "tab"},
            {"id": "2", "type": "dice", "d": true},
            {"id": "3", "type": "function", "libs": [{"var": "a", "module": "lodash/fp"}, {"module": "@s/b@1.0.0"}, 1]},
            {"id": "4", "type": "function", "libs": [{"var": "a", "module": "unused"}], "d": true},
            {"id": "5", "type": "odd", "libs": "no list"},
        ]);
        let list = ["dice-nodes", "lodash", "@s/b", "unused", "other"];
        let packages: serde_json::Map<_, _> = list
            .iter()
            .map(|name| ((*name).to_owned(), json!({"version": "1.0.0"})))
            .collect();
        let list = PackageList::from_store(&json!({ "packages": packages }).to_string()).unwrap();
        let types =
            serde_json::from_value(json!({"dice-nodes": ["dice"], "other": ["else"]})).unwrap();
        let needed = Needs::of(&flows.to_string());
        let names: Vec<_> = needed
            .among(&list, &types)
            .into_iter()
            .map(PackageName::as_str)
            .collect();
        assert_eq!(names, ["@s/b", "dice-nodes", "lodash"]);
        assert_eq!(Needs::of("garbage"), Needs::default());
    }
}
