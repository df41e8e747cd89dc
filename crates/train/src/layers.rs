//! Layers of settings, one over the other, each value with its origin.
//!
//! A layer is a TOML table flattened to dotted keys. The lowest layer holds every key there is, so
//! a key that it lacks is unknown, and its values' types are the types that are asked for.

use std::collections::BTreeMap;
use std::fmt;

use toml::{Table, Value};

use crate::config::RunConfig;
use crate::config_fault::{ConfigFault, ConfigFaults};

/// The lowest layer: every key with its default.
pub const DEFAULTS: &str = include_str!("../presets/default.toml");

/// The presets by name.
pub const PRESETS: [(&str, &str); 4] = [
    ("default", ""),
    ("phantom", include_str!("../presets/phantom.toml")),
    ("seed-cnn", include_str!("../presets/seed-cnn.toml")),
    (
        "seed-resnet18",
        include_str!("../presets/seed-resnet18.toml"),
    ),
];

/// Who set a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The built-in defaults.
    Default,
    /// A preset, by name.
    Preset(String),
    /// A file, by path.
    File(String),
    /// The environment.
    Environment,
    /// The command line.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => write!(f, "default"),
            Self::Preset(name) => write!(f, "default (preset {name})"),
            Self::File(path) => write!(f, "file ({path})"),
            Self::Environment => write!(f, "env"),
            Self::CommandLine => write!(f, "cli"),
        }
    }
}

/// Settings being gathered, from the lowest layer up.
#[derive(Clone, Debug)]
pub struct Layers {
    preset: String,
    defaults: BTreeMap<String, Value>,
    values: BTreeMap<String, (Value, Origin)>,
    faults: Vec<ConfigFault>,
}

/// A configuration with the origin of each value.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedConfig {
    /// The configuration.
    pub config: RunConfig,
    /// The preset under it.
    pub preset: String,
    /// The origin of each dotted key.
    pub origins: BTreeMap<String, Origin>,
}

impl Layers {
    /// The defaults and a preset over them. An unknown preset is a fault of [`Layers::resolve`].
    #[must_use]
    pub fn new(preset: &str) -> Self {
        let mut layers = Self {
            preset: preset.to_owned(),
            defaults: BTreeMap::new(),
            values: BTreeMap::new(),
            faults: Vec::new(),
        };
        layers.defaults = layers.flat_layer(DEFAULTS, &Origin::Default);
        let defaults = layers.defaults.clone();
        layers.values.extend(
            defaults
                .into_iter()
                .map(|(key, v)| (key, (v, Origin::Default))),
        );
        match PRESETS.iter().find(|(name, _)| *name == preset) {
            Some((name, text)) => layers.add(text, &Origin::Preset((*name).to_owned())),
            None => layers.unknown_preset(preset),
        }
        let name = Value::String(preset.to_owned());
        layers
            .values
            .insert("name".into(), (name, Origin::Preset(preset.to_owned())));
        layers
    }

    fn unknown_preset(&mut self, preset: &str) {
        let names: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
        self.faults.push(ConfigFault {
            message: format!("unknown preset `{preset}`"),
            key: None,
            found: None,
            origin: None,
            advice: Some(advice("presets are", preset, &names)),
            fault_code: "T005",
        });
    }

    /// Lays a TOML text over what is there.
    pub fn add(&mut self, text: &str, origin: &Origin) {
        for (key, value) in self.flat_layer(text, origin) {
            self.put(&key, value, origin);
        }
    }

    /// Lays one `key=value` over what is there. The value is TOML; what is no TOML is a string.
    pub fn set(&mut self, assignment: &str, origin: &Origin) {
        let Some((key, text)) = assignment.split_once('=') else {
            self.faults.push(ConfigFault {
                message: format!("`{assignment}` is no setting"),
                key: None,
                found: Some(assignment.to_owned()),
                origin: Some(origin.clone()),
                advice: Some("settings are key=value, as in epochs=2".into()),
                fault_code: "T001",
            });
            return;
        };
        let text = text.trim();
        let value = text
            .parse()
            .unwrap_or_else(|_| Value::String(text.to_owned()));
        self.put(key.trim(), value, origin);
    }

    /// Sets a key to a text as it is, without reading it as TOML.
    pub fn set_text(&mut self, key: &str, text: &str, origin: &Origin) {
        self.put(key, Value::String(text.to_owned()), origin);
    }

    fn put(&mut self, key: &str, value: Value, origin: &Origin) {
        let Some(default) = self.defaults.get(key) else {
            let keys: Vec<&str> = self.defaults.keys().map(String::as_str).collect();
            self.faults.push(ConfigFault {
                message: format!("unknown key `{key}`"),
                key: Some(key.to_owned()),
                found: Some(value.to_string()),
                origin: Some(origin.clone()),
                advice: Some(advice("keys are", key, &keys)),
                fault_code: "T001",
            });
            return;
        };
        let value = as_type_of(default, value);
        self.values.insert(key.to_owned(), (value, origin.clone()));
    }

    fn flat_layer(&mut self, text: &str, origin: &Origin) -> BTreeMap<String, Value> {
        match text.parse::<Table>() {
            Ok(table) => {
                let mut flat = BTreeMap::new();
                flatten("", table, &mut flat);
                flat
            }
            Err(error) => {
                self.faults.push(ConfigFault {
                    message: format!("not valid TOML: {}", error.message()),
                    key: None,
                    found: error
                        .span()
                        .and_then(|s| text.get(s))
                        .map(|t| format!("{t:?}")),
                    origin: Some(origin.clone()),
                    advice: Some("`cxr config --defaults` prints a valid file".into()),
                    fault_code: "T006",
                });
                BTreeMap::new()
            }
        }
    }

    /// The configuration that the layers make.
    ///
    /// # Errors
    /// Every fault of every layer: unknown keys, wrong types, values out of range.
    pub fn resolve(self) -> Result<ResolvedConfig, ConfigFaults> {
        let mut faults = self.faults;
        let origins: BTreeMap<String, Origin> = self
            .values
            .iter()
            .map(|(key, (_, origin))| (key.clone(), origin.clone()))
            .collect();
        let mut sound = self.defaults.clone();
        for (key, (value, _)) in &self.values {
            let mut alone = self.defaults.clone();
            alone.insert(key.clone(), value.clone());
            match read(&alone) {
                Ok(_) => {
                    sound.insert(key.clone(), value.clone());
                }
                Err(message) => faults.push(ConfigFault {
                    message: format!("{key}: {message}"),
                    key: Some(key.clone()),
                    found: Some(value.to_string()),
                    origin: None,
                    advice: self
                        .defaults
                        .get(key)
                        .map(|d| format!("the default is {d}")),
                    fault_code: "T002",
                }),
            }
        }
        let config = read(&sound).map_err(|message| {
            ConfigFaults::one(ConfigFault::refused(
                "",
                message,
                "",
                "the defaults are damaged",
            ))
        })?;
        faults.extend(config.faults());
        if faults.is_empty() {
            return Ok(ResolvedConfig {
                config,
                preset: self.preset,
                origins,
            });
        }
        for fault in &mut faults {
            let known = fault.key.as_ref().and_then(|key| origins.get(key));
            fault.origin = fault.origin.take().or_else(|| known.cloned());
        }
        Err(ConfigFaults::new(faults))
    }
}

impl ResolvedConfig {
    /// The whole configuration as TOML, each line with its origin as a comment.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let table = Table::try_from(&self.config).unwrap_or_default();
        let mut flat = BTreeMap::new();
        flatten("", table, &mut flat);
        let mut lines: Vec<(String, String)> = Vec::new();
        for (key, value) in flat {
            let (section, name) = key.rsplit_once('.').unwrap_or(("", &key));
            let origin = self.origins.get(&key).unwrap_or(&Origin::Default);
            lines.push((section.to_owned(), format!("{name} = {value}  # {origin}")));
        }
        lines.sort_by(|a, b| a.0.cmp(&b.0));
        let mut text = String::new();
        let mut section_before = "";
        for (section, line) in &lines {
            if section != section_before {
                text.push_str(&format!("\n[{section}]\n"));
                section_before = section;
            }
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

/// Every key with its type and its value in each preset, as a table for people.
///
/// # Errors
/// A preset that cannot be resolved: a bug of ours.
pub fn schema() -> Result<String, ConfigFaults> {
    let mut columns = Vec::new();
    for (name, _) in PRESETS {
        let resolved = Layers::new(name).resolve()?;
        let table = Table::try_from(&resolved.config).unwrap_or_default();
        let mut flat = BTreeMap::new();
        flatten("", table, &mut flat);
        columns.push((name, flat));
    }
    let mut text = format!("{:<26}{:<9}", "key", "type");
    text.extend(columns.iter().map(|(name, _)| format!("{name:<16}")));
    for (key, value) in columns.first().map(|(_, flat)| flat).into_iter().flatten() {
        text.push_str(&format!("\n{key:<26}{:<9}", value.type_str()));
        text.extend(
            columns
                .iter()
                .map(|(_, flat)| format!("{:<16}", flat[key].to_string())),
        );
    }
    Ok(text)
}

fn read(flat: &BTreeMap<String, Value>) -> Result<RunConfig, String> {
    nested(flat)
        .try_into()
        .map_err(|error: toml::de::Error| error.message().trim().to_owned())
}

fn flatten(prefix: &str, table: Table, flat: &mut BTreeMap<String, Value>) {
    for (key, value) in table {
        let key = if prefix.is_empty() {
            key
        } else {
            format!("{prefix}.{key}")
        };
        match value {
            Value::Table(inner) => flatten(&key, inner, flat),
            value => {
                flat.insert(key, value);
            }
        }
    }
}

fn nested(flat: &BTreeMap<String, Value>) -> Table {
    let mut table = Table::new();
    for (key, value) in flat {
        match key.split_once('.') {
            None => {
                table.insert(key.clone(), value.clone());
            }
            Some((section, name)) => {
                let inner = table
                    .entry(section)
                    .or_insert_with(|| Value::Table(Table::new()));
                if let Value::Table(inner) = inner {
                    inner.insert(name.to_owned(), value.clone());
                }
            }
        }
    }
    table
}

/// A whole number where a real one is asked for, and a bare word where a string is, are meant so.
fn as_type_of(default: &Value, value: Value) -> Value {
    match (default, value) {
        (Value::Float(_), Value::Integer(whole)) => Value::Float(whole as f64),
        (Value::String(_), value @ (Value::Integer(_) | Value::Float(_) | Value::Boolean(_))) => {
            Value::String(value.to_string())
        }
        (_, value) => value,
    }
}

/// "did you mean …" where a name is near, else all the names.
fn advice(intro: &str, word: &str, names: &[&str]) -> String {
    let nearest = names
        .iter()
        .map(|name| (strsim::damerau_levenshtein(word, name), name))
        .min();
    match nearest {
        Some((distance, name)) if distance <= 2 + word.len() / 4 => {
            format!("did you mean `{name}`?")
        }
        _ => format!("{intro} {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_resolves_without_a_fault() {
        for (name, _) in PRESETS {
            let resolved = Layers::new(name).resolve().expect(name);
            assert_eq!(resolved.config.name, name);
        }
    }

    #[test]
    fn later_layers_win_and_each_value_keeps_its_origin() {
        let mut layers = Layers::new("seed-cnn");
        layers.add(
            "epochs = 7\n[augment]\nmax_degrees = 3\n",
            &Origin::File("my.toml".into()),
        );
        layers.set("epochs=2", &Origin::CommandLine);
        let resolved = layers.resolve().expect("sound");
        assert_eq!(resolved.config.epochs, 2);
        assert_eq!(
            resolved.config.augment.max_degrees.to_bits(),
            3.0_f64.to_bits()
        );
        let text = resolved.to_toml();
        assert!(text.contains("epochs = 2  # cli"), "{text}");
        assert!(
            text.contains("max_degrees = 3.0  # file (my.toml)"),
            "{text}"
        );
        assert!(
            text.contains("batch_size = 64  # default (preset seed-cnn)"),
            "{text}"
        );
        assert!(text.contains("seed = 1  # default\n"), "{text}");
    }

    #[test]
    fn a_written_configuration_reads_back_equal() {
        let resolved = Layers::new("seed-resnet18").resolve().expect("sound");
        let mut again = Layers::new("default");
        again.add(&resolved.to_toml(), &Origin::File("config.toml".into()));
        assert_eq!(again.resolve().expect("sound").config, resolved.config);
    }

    #[test]
    fn all_faults_are_reported_at_once_with_a_suggestion() {
        let mut layers = Layers::new("default");
        layers.set("batch_size=0", &Origin::CommandLine);
        layers.set("threshold.rule=yuden", &Origin::CommandLine);
        layers.set("epocs=3", &Origin::CommandLine);
        layers.set("epochs=many", &Origin::CommandLine);
        layers.set("nonsense", &Origin::CommandLine);
        let faults = layers.resolve().expect_err("five faults");
        let text: Vec<String> = faults
            .faults()
            .iter()
            .map(|f| format!("{} {f} {}", f.code(), f.help().unwrap_or_default()))
            .collect();
        assert_eq!(faults.faults().len(), 5, "{text:#?}");
        let all = text.join("\n");
        assert!(all.contains("did you mean `epochs`?"), "{all}");
        assert!(all.contains("batch_size: must be at least 1"), "{all}");
        assert!(all.contains("youden"), "{all}");
        assert!(all.contains("T002 epochs"), "{all}");
    }

    #[test]
    fn a_threshold_rule_may_have_a_number_and_reads_back() {
        let mut layers = Layers::new("default");
        layers.set("threshold.rule=sensitivity=0.9", &Origin::CommandLine);
        let config = layers.resolve().expect("sound").config;
        assert_eq!(config.threshold.rule.to_string(), "sensitivity=0.9");
        let mut wrong = Layers::new("default");
        wrong.set("threshold.rule=ppv=50", &Origin::CommandLine);
        let faults = wrong.resolve().expect_err("50 is no share");
        assert!(faults.faults()[0].to_string().contains("threshold.rule"));
    }

    #[test]
    fn an_unknown_preset_names_the_nearest() {
        let faults = Layers::new("seed-resnet").resolve().expect_err("unknown");
        assert_eq!(
            faults.faults()[0].help().as_deref(),
            Some("did you mean `seed-resnet18`?")
        );
    }

    #[test]
    fn the_seed_presets_are_the_write_ups_settings_to_the_letter() {
        for (name, model, dropout) in [
            ("seed-cnn", "xray-cnn", 0.25),
            ("seed-resnet18", "resnet18", 0.0),
        ] {
            let config = Layers::new(name).resolve().expect(name).config;
            let flat = |text: &str| text.parse::<Table>().expect("TOML");
            let expected = flat(&format!(
                "epochs = 25\nbatch_size = 64\nmodel = \"{model}\"\nsize = 320\ndropout = {dropout:?}\n\
                 optimizer = \"adam\"\nlearning_rate = 0.0001\nweight_decay = 0.0\n\
                 schedule = \"constant\"\npos_weight = \"sqrt\"\n\
                 augment = {{ flip_probability = 0.5, max_degrees = 20.0, max_translate = 0.2, \
                 min_scale = 0.8, max_scale = 1.2, max_shear_degrees = 20.0, interpolation = \"nearest-parity\" }}\n\
                 threshold = {{ rule = \"0.5\" }}\n"
            ));
            let found = Table::try_from(&config).expect("serialisable");
            for (key, value) in expected {
                assert_eq!(found[&key], value, "{name}: {key}");
            }
        }
    }
}
