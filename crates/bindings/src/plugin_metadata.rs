//! Fields of `pluginMetadata()` that distinguish this project's session key plugin from others with the same
//! ABI.

/// `version` of the session key plugin.
pub const SESSION_KEY_PLUGIN_VERSION: &str = "1.1.0";

/// `author` of the session key plugin.
pub const SESSION_KEY_PLUGIN_AUTHOR: &str = "The session-key authors";
