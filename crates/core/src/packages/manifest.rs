//! The package.json of a user directory: its dependencies are changed, everything else keeps its words.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;

use super::tree::local;
use crate::error::{Code, Error, Result};
use crate::object::{Object, quoted};

/// What Node-RED itself begins with.
const FIRST: &str = r#"{"name":"node-red-project","version":"0.0.1","private":true}"#;

/// The package.json of one user directory.
#[derive(Debug, Clone)]
pub(super) struct Manifest {
    file: PathBuf,
    object: Object,
}

impl Manifest {
    /// Reads it; where there is none it is as Node-RED would make it.
    pub(super) fn read(user_directory: &Path) -> Result<Self> {
        let file = user_directory.join("package.json");
        let text = match fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => FIRST.to_owned(),
            Err(error) => return Err(local(&file, &error)),
        };
        let object = Object::parse(&text).map_err(|error| {
            let what = format!(
                "{} is no package.json ({error}); correct it",
                file.display()
            );
            Error::new(Code::LocalFile, what)
        })?;
        Ok(Self { file, object })
    }

    /// Name to specification.
    pub(super) fn dependencies(&self) -> BTreeMap<String, String> {
        self.object
            .get("dependencies")
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
            .unwrap_or_default()
    }

    /// A field that is a text, empty where it is not there.
    pub(super) fn field(&self, name: &str) -> String {
        let raw = self.object.get(name).map(RawValue::get).unwrap_or_default();
        serde_json::from_str(raw).unwrap_or_default()
    }

    /// Sets a field to a value.
    pub(super) fn set(&mut self, name: &str, value: &impl serde::Serialize) -> Result<()> {
        let raw = serde_json::value::to_raw_value(value)
            .map_err(|error| Error::new(Code::Internal, error.to_string()))?;
        self.object.insert(name.to_owned(), raw);
        Ok(())
    }

    /// Sets the dependencies, laid out as npm does it.
    pub(super) fn set_dependencies(
        &mut self,
        dependencies: &BTreeMap<String, String>,
    ) -> Result<()> {
        let lines: Vec<String> = dependencies
            .iter()
            .map(|(name, version)| format!("        {}: {}", quoted(name), quoted(version)))
            .collect();
        let text = if lines.is_empty() {
            "{}".to_owned()
        } else {
            format!("{{\n{}\n    }}", lines.join(",\n"))
        };
        let raw = RawValue::from_string(text)
            .map_err(|error| Error::new(Code::Internal, error.to_string()))?;
        self.object.insert("dependencies".to_owned(), raw);
        Ok(())
    }

    /// Writes it where it was read.
    pub(super) fn write(&self) -> Result<()> {
        write(&self.file, &self.text())
    }

    /// Its text.
    pub(super) fn text(&self) -> String {
        let lines: Vec<String> = self
            .object
            .iter()
            .map(|(key, value)| format!("    {}: {}", quoted(key), value.get()))
            .collect();
        format!("{{\n{}\n}}\n", lines.join(",\n"))
    }
}

/// Replaces a file whole.
pub(super) fn write(file: &Path, text: &str) -> Result<()> {
    let written = || -> io::Result<()> {
        let mut name = file.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let temporary = file.with_file_name(name);
        fs::write(&temporary, text)?;
        fs::File::open(&temporary)?.sync_all()?;
        fs::rename(&temporary, file)
    };
    written().map_err(|error| local(file, &error))
}
