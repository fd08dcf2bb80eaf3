//! Nothing is written twice: what the README says of features and commands is what the code says.

use snug::features::ALL;

fn readme() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("the README")
}

/// The table as the README must have it.
fn table() -> String {
    let mut table = "| specification | title | left out |\n|---|---|---|\n".to_owned();
    for row in ALL {
        table.push_str(&format!(
            "| {} | {} | {} |\n",
            row.spec, row.title, row.leaves_out
        ));
    }
    table
}

#[test]
fn the_readme_lists_what_the_table_of_features_has() {
    let text = readme();
    let start = text.find("<!-- features:").expect("the place of the table");
    let start = start + text[start..].find('\n').expect("a line") + 1;
    let end = text.find("<!-- /features -->").expect("the table's end");
    assert_eq!(
        text[start..end].trim(),
        table().trim(),
        "put this into README.md:\n{}",
        table()
    );
}

#[test]
fn every_row_says_what_it_is() {
    for row in ALL {
        assert!(
            row.spec.starts_with("XEP-") || row.spec.starts_with("RFC "),
            "{:?} names no specification",
            row.spec
        );
        assert!(!row.title.is_empty(), "{} has no title", row.spec);
    }
    let mut specs: Vec<_> = ALL.iter().map(|row| (row.spec, row.title)).collect();
    specs.sort();
    specs.dedup();
    assert_eq!(specs.len(), ALL.len(), "a row stands twice");
}
