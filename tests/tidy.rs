//! The house rules that a compiler does not hold: which layer may import which, and that no feature knows another.

use std::fs;
use std::path::{Path, PathBuf};

/// From the top: a layer imports only what stands before it. `main.rs` and `lib.rs` stand outside.
const LAYERS: &[&str] = &[
    "config", "limits", "xml", "xmpp", "auth", "store", "engine", "features", "net", "admin", "cli",
];

/// Imports against the order that the design allows, and why.
const ALLOWED: &[(&str, &str, &str)] = &[(
    "config",
    "limits",
    "a default that an operator may move stands with the other bounds",
)];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder)
        .expect("a folder of sources")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every file with its path below `src` and its text without comments.
fn files() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    sources(&root(), &mut found);
    let code = |text: String| {
        text.lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .map(|line| format!("{line}\n"))
            .collect()
    };
    found
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a source file");
            (
                path.strip_prefix(root()).expect("below src").to_owned(),
                code(text),
            )
        })
        .collect()
}

/// The first component of a path, without its ending.
fn layer_of(path: &Path) -> String {
    let first = path.components().next().expect("a path has components");
    first
        .as_os_str()
        .to_string_lossy()
        .trim_end_matches(".rs")
        .to_owned()
}

/// Modules that a text names behind `crate::`, also inside braces.
fn imports(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (place, _) in text.match_indices("crate::") {
        let rest = &text[place + "crate::".len()..];
        let names: Vec<&str> = match rest.strip_prefix('{') {
            Some(group) => group
                .split('}')
                .next()
                .unwrap_or_default()
                .split(',')
                .collect(),
            None => vec![rest],
        };
        for name in names {
            let path: String = name
                .trim()
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':')
                .collect();
            let mut parts = path.split("::");
            let layer = parts.next().unwrap_or_default().to_owned();
            found.push((layer, parts.next().unwrap_or_default().to_owned()));
        }
    }
    found
}

#[test]
fn a_layer_imports_only_what_stands_above_it() {
    let mut wrong = Vec::new();
    for (path, text) in files() {
        let layer = layer_of(&path);
        let Some(place) = LAYERS.iter().position(|name| *name == layer) else {
            assert!(
                matches!(layer.as_str(), "main" | "lib"),
                "src/{} is in no layer: the layers are {LAYERS:?}",
                path.display()
            );
            continue;
        };
        for (other, _) in imports(&text) {
            let Some(there) = LAYERS.iter().position(|name| *name == other) else {
                continue;
            };
            let allowed = ALLOWED
                .iter()
                .any(|(from, to, _)| *from == layer && *to == other);
            if there > place && !allowed {
                wrong.push(format!("src/{} imports {other}", path.display()));
            }
            if layer == "net" && other == "features" {
                wrong.push(format!(
                    "src/{} imports {other}: net never knows a feature",
                    path.display()
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "imports against the order of the layers:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn no_feature_imports_another() {
    let mut wrong = Vec::new();
    for (path, text) in files()
        .into_iter()
        .filter(|(path, _)| path.starts_with("features") && !path.ends_with("features/mod.rs"))
    {
        let own = path
            .components()
            .nth(1)
            .expect("a file below features")
            .as_os_str()
            .to_string_lossy()
            .trim_end_matches(".rs")
            .to_owned();
        for (layer, feature) in imports(&text) {
            if layer == "features" && feature != own {
                wrong.push(format!(
                    "src/{} imports features::{feature}",
                    path.display()
                ));
            }
        }
        let one_file = path.components().count() == 2;
        if one_file && text.contains("super::") && !text.contains("#[cfg(test)]") {
            wrong.push(format!(
                "src/{} reaches into its folder by super::",
                path.display()
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "what two features share goes down a layer:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn the_engine_never_waits() {
    let forbidden = [
        "async fn",
        ".await",
        "std::net::Tcp",
        "SystemTime::now",
        "Instant::now",
        "std::thread",
        "SystemRandom",
        "std::fs",
    ];
    for (path, text) in files()
        .into_iter()
        .filter(|(path, _)| path.starts_with("engine") || path.starts_with("features"))
    {
        for word in forbidden {
            assert!(
                !text.contains(word),
                "src/{} has {word}: time, randomness and waiting come from outside",
                path.display()
            );
        }
    }
}

#[test]
fn every_layer_says_what_it_is() {
    for layer in LAYERS {
        let file = [
            root().join(format!("{layer}.rs")),
            root().join(layer).join("mod.rs"),
        ]
        .into_iter()
        .find(|path| path.exists());
        let text = fs::read_to_string(file.unwrap_or_else(|| panic!("the layer {layer} is there")))
            .expect("a source file");
        let first = text.lines().next().unwrap_or_default();
        assert!(
            first.starts_with("//! ") && first.len() > 30,
            "{layer} begins with a sentence that says what it is: {first:?}"
        );
    }
}

#[test]
fn the_top_level_holds_only_what_the_design_lists() {
    let allowed = [
        "Cargo.toml",
        "Cargo.lock",
        "LICENSE",
        "README.md",
        ".gitignore",
        ".git",
        ".ci",
        "src",
        "cross",
        "systemd",
        "tests",
        "web",
        "target",
    ];
    for entry in fs::read_dir(env!("CARGO_MANIFEST_DIR")).expect("the project's folder") {
        let name = entry
            .expect("an entry")
            .file_name()
            .to_string_lossy()
            .into_owned();
        assert!(
            allowed.contains(&name.as_str()),
            "{name} stands at the top level"
        );
    }
}
