//! What the commit script answers.

use redis::Value;

use crate::error::{Code, Error, Result};

pub(super) enum Reply {
    /// For each property whether its name was added or removed.
    Written(Vec<bool>),
    Changed(Vec<Current>),
}

/// What a property holds now.
pub(super) enum Current {
    AsExpected,
    Absent,
    Value(Vec<u8>),
}

impl Reply {
    pub(super) fn read(reply: Vec<Value>, properties: usize) -> Result<Self> {
        let unexpected = || {
            Error::new(
                Code::StoreReply,
                "the store answered a commit in an unexpected shape",
            )
        };
        let mut values = reply.into_iter();
        let written = match values.next() {
            Some(Value::Int(1)) => true,
            Some(Value::Int(0)) => false,
            _ => return Err(unexpected()),
        };
        if values.len() > properties || (written && values.len() != properties) {
            return Err(unexpected());
        }
        if written {
            return Ok(Self::Written(
                values.map(|value| value == Value::Int(1)).collect(),
            ));
        }
        // A nil at the end of a table is not sent by Lua.
        let current = values.map(|value| match value {
            Value::Int(1) => Ok(Current::AsExpected),
            Value::Nil | Value::Boolean(false) => Ok(Current::Absent),
            Value::BulkString(bytes) => Ok(Current::Value(bytes)),
            _ => Err(unexpected()),
        });
        let mut current = current.collect::<Result<Vec<_>>>()?;
        current.resize_with(properties, || Current::Absent);
        Ok(Self::Changed(current))
    }
}
