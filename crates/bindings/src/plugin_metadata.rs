//! What this project's session key plugin says of itself in `pluginMetadata()`. Other plugins of the same ABI say otherwise.

/// `version` of the session key plugin.
pub const SESSION_KEY_PLUGIN_VERSION: &str = "1.1.0";

/// `author` of the session key plugin.
pub const SESSION_KEY_PLUGIN_AUTHOR: &str = "The session-key authors";
