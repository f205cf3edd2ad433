//! One section of the settings: a struct, its defaults and its explanation, said once.

/// What the documentation knows about a section.
#[derive(Debug)]
pub(super) struct Section {
    /// Dotted path of its table.
    pub(super) path: &'static str,
    /// Lines of explanation.
    pub(super) about: &'static [&'static str],
    /// Its keys, in order.
    pub(super) keys: &'static [Key],
}

/// What the documentation knows about a key.
#[derive(Debug)]
pub(super) struct Key {
    /// Its name within the section.
    pub(super) name: &'static str,
    /// Lines of explanation.
    pub(super) about: &'static [&'static str],
    /// How a value is written (TOML), for keys that have no default.
    pub(super) example: &'static str,
}

/// Defines a section's struct with serde, its `Default` and its documentation. A key without a
/// default value (an `Option`, a list) gives an example after `like`.
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        pub struct $name:ident in $path:literal {
            $(
                $(#[doc = $key_about:literal])*
                pub $key:ident: $kind:ty = $default:expr $(, like $example:literal)?;
            )*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $( $(#[doc = $key_about])* pub $key: $kind, )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $key: $default, )* }
            }
        }

        impl $name {
            pub(super) const SECTION: $crate::config::section::Section =
                $crate::config::section::Section {
                    path: $path,
                    about: &[$($about),*],
                    keys: &[
                        $( $crate::config::section::Key {
                            name: stringify!($key),
                            about: &[$($key_about),*],
                            example: concat!($($example)?),
                        }, )*
                    ],
                };
        }
    };
}

pub(super) use section;
