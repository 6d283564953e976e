//! The suite file: read, put together and checked before anything runs.
//!
//! | module | what it does |
//! |---|---|
//! | [`raw`] | the file as it is written |
//! | [`scenario`] | what is sent, and what has to come back |
//! | [`server`] | how a server is started |
//! | [`error`] | where something is wrong, and what to do |

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::results::Published;
use crate::ab::settings::Profile;
use crate::ab::settings::profile::usual_folders;

mod error;
mod raw;
mod scenario;
mod server;
#[cfg(test)]
mod tests;

pub use error::SpecError;
pub use raw::Expect;
pub use scenario::Scenario;
pub use server::ServerSpec;

use error::Source;
use raw::{Keys, RawPublished, RawSuite};
pub(super) use scenario::check_load;
pub(super) use server::near;

/// A file that decides what is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    /// What it is called from the folder of the suite file.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
}

/// A suite, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Suite {
    /// Its short name.
    pub name: String,
    /// Its heading.
    pub title: String,
    /// Where the benchmark that it repeats was published.
    pub source: Option<String>,
    /// How that one was made.
    pub method: Option<String>,
    /// Where the method misleads.
    pub misleads: Vec<String>,
    /// Whether this is the short form.
    pub is_quick: bool,
    /// The kernel settings in whose network namespace it runs, if any.
    pub tuning: Option<Profile>,
    /// What is sent.
    pub scenarios: Vec<Scenario>,
    /// The servers.
    pub servers: Vec<ServerSpec>,
    /// Tables as they were published.
    pub published: Vec<Published>,
    /// The suite file itself.
    pub file: NamedFile,
}

impl Suite {
    /// Reads a suite file with all files that it names, whose paths are relative to its own; with
    /// `is_quick` its short form.
    ///
    /// # Errors
    ///
    /// When one of them cannot be read, or something in them is wrong. The text names the file, the
    /// line and the key, and says what to do.
    pub fn read(path: &Path, is_quick: bool) -> Result<Self, SpecError> {
        let (source, raw): (Source, RawSuite) = Source::read(path)?;
        let name = raw.name.get_ref();
        check_name(name).map_err(|told| source.at(&raw.name, "name", told))?;
        let absolute = std::path::absolute(path);
        let absolute = absolute.map_err(|error| source.error(None, None, error.to_string()))?;
        let folder = absolute.parent().unwrap_or(Path::new("/"));
        let own_name = path.file_name().unwrap_or_default().display().to_string();
        let scenarios = scenarios(&source, &raw, is_quick)?;
        let servers = servers(&source, &raw, folder)?;
        let tuning = raw.tuning.as_ref().map(|name| tuning(&source, name, folder)).transpose()?;
        let published = raw.published.into_iter().map(|table| published(&source, table));
        Ok(Self {
            published: published.collect::<Result<_, _>>()?,
            name: raw.name.into_inner(),
            title: raw.title,
            source: raw.source,
            method: raw.method,
            misleads: raw.misleads,
            is_quick,
            tuning,
            scenarios,
            servers,
            file: NamedFile { name: own_name, path: path.to_owned() },
        })
    }

    /// All files that decide what is measured: the suite's own, and those of its scenarios and
    /// servers.
    pub fn files(&self) -> impl Iterator<Item = &NamedFile> {
        let of_scenarios = self.scenarios.iter().filter_map(|it| it.request_file.as_ref());
        let of_servers = self.servers.iter().flat_map(|it| &it.files);
        std::iter::once(&self.file).chain(of_scenarios).chain(of_servers)
    }

    /// Leaves in only what was chosen.
    ///
    /// # Errors
    ///
    /// When a name is none of the suite's, or nothing is left; the text has the names that there
    /// are.
    pub fn choose(&mut self, choice: &Choice) -> Result<(), String> {
        let servers: Vec<&str> = self.servers.iter().map(|it| it.name.as_str()).collect();
        let scenarios: Vec<&str> = self.scenarios.iter().map(|it| it.name.as_str()).collect();
        known("--only", &choice.only, &servers)?;
        known("--skip", &choice.skip, &servers)?;
        known("--scenarios", &choice.scenarios, &scenarios)?;
        let is_in = |list: &[String], name: &String| list.is_empty() || list.contains(name);
        self.servers.retain(|server| {
            is_in(&choice.only, &server.name) && !choice.skip.contains(&server.name)
        });
        self.scenarios.retain(|scenario| is_in(&choice.scenarios, &scenario.name));
        if self.servers.is_empty() {
            return Err("--only and --skip leave no server over".to_owned());
        }
        Ok(())
    }
}

/// What of a suite is to be done; an empty list chooses all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Names of servers.
    pub only: Vec<String>,
    /// Names of servers that are left out.
    pub skip: Vec<String>,
    /// Names of scenarios.
    pub scenarios: Vec<String>,
}

fn known(flag: &str, names: &[String], all: &[&str]) -> Result<(), String> {
    match names.iter().find(|name| !all.contains(&name.as_str())) {
        Some(name) => Err(format!("{flag}: there is no `{name}` in it, but {}", all.join(", "))),
        None => Ok(()),
    }
}

/// The name becomes part of file names.
fn check_name(name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !name.is_empty() && name.chars().all(is_plain) && !name.starts_with('.') {
        return Ok(());
    }
    Err(format!("`{name}` becomes part of file names: use letters, digits, - and _"))
}

fn scenarios(source: &Source, raw: &RawSuite, is_quick: bool) -> Result<Vec<Scenario>, SpecError> {
    if raw.scenario.is_empty() {
        let told = "there is no scenario in it: one begins with the line [[scenario]]";
        return Err(source.error(None, None, told));
    }
    for (key, layer) in [("defaults", &raw.defaults), ("quick", &raw.quick)] {
        if let Some(layer) = layer {
            scenario::no_nesting(layer.get_ref(), |told| source.at(layer, key, told))?;
        }
    }
    let keys = |layer: &Option<Spanned<Keys>>| {
        layer.as_ref().map_or_else(Keys::default, |keys| keys.get_ref().clone())
    };
    let quick = is_quick.then(|| keys(&raw.quick));
    let reader = scenario::Reader { source, defaults: keys(&raw.defaults), quick };
    let mut found = Vec::with_capacity(raw.scenario.len());
    let mut names = BTreeSet::new();
    for table in &raw.scenario {
        let scenario = reader.scenario(table)?;
        if !names.insert(scenario.name.clone()) {
            return Err(twice(source, table, "scenario", &scenario.name));
        }
        found.push(scenario);
    }
    Ok(found)
}

fn servers(source: &Source, raw: &RawSuite, folder: &Path) -> Result<Vec<ServerSpec>, SpecError> {
    if raw.server.is_empty() {
        let told = "there is no server in it: one begins with the line [[server]]";
        return Err(source.error(None, None, told));
    }
    let find = |name: &Spanned<String>| {
        let folder = folder.join(name.get_ref());
        let found = folder.canonicalize().ok().filter(|found| found.is_dir());
        let missing = || format!("there is no folder {}", folder.display());
        found
            .map(|found| (name.get_ref().clone(), found))
            .ok_or_else(|| source.at(name, "peers", missing()))
    };
    let peers = raw.peers.as_ref().map(find).transpose()?;
    let reader = server::Reader { source, folder, peers };
    let mut found = Vec::with_capacity(raw.server.len());
    let mut names = BTreeSet::new();
    for table in &raw.server {
        let server = reader.server(table)?;
        if !names.insert(server.name.clone()) {
            return Err(twice(source, table, "server", &server.name));
        }
        found.push(server);
    }
    Ok(found)
}

fn twice<T>(source: &Source, table: &Spanned<T>, what: &str, name: &str) -> SpecError {
    source.at(table, what, format!("there is a {what} called `{name}` already: rename one of them"))
}

fn tuning(source: &Source, name: &Spanned<String>, folder: &Path) -> Result<Profile, SpecError> {
    let mut searched = usual_folders();
    searched.push(folder.join("../../tuning/profiles"));
    Profile::load(name.get_ref(), &searched).map_err(|error| source.at(name, "tuning", error))
}

fn published(source: &Source, table: Spanned<RawPublished>) -> Result<Published, SpecError> {
    let RawPublished { title, columns, rows } = table.into_inner();
    let key = format!("published `{title}`");
    for row in &rows {
        let (cells, columns) = (row.get_ref().len(), columns.len());
        if cells != columns {
            let told = format!("the row has {cells} cells, and there are {columns} columns");
            return Err(source.at(row, &key, told));
        }
    }
    Ok(Published { title, columns, rows: rows.into_iter().map(Spanned::into_inner).collect() })
}
