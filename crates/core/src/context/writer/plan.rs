//! The commands of a round of plain writes: plain ones, because the store does not tell this link of changes
//! that they make (with `NOLOOP`), so what this process keeps of its own writes stays.

use std::collections::HashSet;

use redis::Pipeline;

use crate::context::queue::Slot;
use crate::keyspace::{Keyspace, Scope};

/// The commands of a round of plain writes.
pub(super) struct Plan {
    pub(super) pipeline: Pipeline,
    /// Replies that count names added or removed, with their scope.
    pub(super) renamings: Vec<(usize, Scope)>,
    /// Scopes that are in the set of scopes afterwards.
    pub(super) scopes: Vec<Scope>,
}

impl Plan {
    pub(super) fn new(
        keyspace: &Keyspace,
        slots: &[&Slot],
        packed: &[Option<Vec<u8>>],
        registered: &HashSet<Scope>,
    ) -> Self {
        let mut plan = Self {
            pipeline: redis::pipe(),
            renamings: Vec::new(),
            scopes: Vec::new(),
        };
        plan.pipeline.atomic();
        let mut commands = 0;
        let mut set = redis::cmd("MSET");
        let mut delete = redis::cmd("DEL");
        let (mut sets, mut deletes) = (0, 0);
        let mut scopes: Vec<&Scope> = Vec::new();
        for (slot, packed) in slots.iter().zip(packed) {
            let key = keyspace.context_value(&slot.property.scope, &slot.property.name);
            match &slot.text {
                Some(text) => {
                    let value = packed.as_deref().unwrap_or(text.as_bytes());
                    set.arg(key).arg(value);
                    sets += 1;
                }
                None => {
                    delete.arg(key);
                    deletes += 1;
                }
            }
            if !scopes.contains(&&slot.property.scope) {
                scopes.push(&slot.property.scope);
            }
        }
        if sets > 0 {
            plan.pipeline.add_command(set);
            commands += 1;
        }
        if deletes > 0 {
            plan.pipeline.add_command(delete);
            commands += 1;
        }
        for scope in scopes {
            let names = keyspace.context_names(scope);
            let mut remove = redis::cmd("ZREM");
            remove.arg(&names);
            let mut add = redis::cmd("ZADD");
            add.arg(&names).arg("NX");
            let (mut removes, mut adds) = (0, 0);
            for slot in slots.iter().filter(|slot| slot.property.scope == *scope) {
                if slot.renewed || slot.text.is_none() {
                    remove.arg(&slot.property.name);
                    removes += 1;
                }
                if slot.text.is_some() {
                    add.arg(slot.since).arg(&slot.property.name);
                    adds += 1;
                }
            }
            if removes > 0 {
                plan.pipeline.add_command(remove);
                plan.renamings.push((commands, scope.clone()));
                commands += 1;
            }
            if adds > 0 {
                plan.pipeline.add_command(add);
                plan.renamings.push((commands, scope.clone()));
                commands += 1;
                if !registered.contains(scope) {
                    let mut register = redis::cmd("SADD");
                    register.arg(keyspace.context_scopes()).arg(scope.as_str());
                    plan.pipeline.add_command(register);
                    commands += 1;
                    plan.scopes.push(scope.clone());
                }
            }
        }
        plan
    }
}
