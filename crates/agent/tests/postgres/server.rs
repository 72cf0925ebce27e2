//! The server of `script/postgres.sh`.

use session_key_agent::store::{PostgresOptions, PostgresStore};
use std::{
    env,
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};
use tokio_postgres::{Client, NoTls};

pub(crate) fn connection() -> String {
    env::var("SESSION_KEY_TEST_POSTGRES").expect("run these tests by ./script/postgres.sh")
}

/// Returns the name of a schema that nobody has.
pub(crate) fn schema() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("test_{}_{}_{number}", std::process::id(), since.as_nanos())
}

pub(crate) fn options(schema: &str) -> PostgresOptions {
    let connection = format!(
        "{} application_name={}",
        connection(),
        &schema[..schema.len().min(63)]
    );
    PostgresOptions::new(&connection).unwrap().schema(schema)
}

pub(crate) async fn open(schema: &str) -> PostgresStore {
    PostgresStore::open(options(schema)).await.unwrap()
}

/// Connects beside the store, in its schema.
pub(crate) async fn beside(schema: &str) -> Client {
    let (client, driver) = tokio_postgres::connect(&connection(), NoTls).await.unwrap();
    tokio::spawn(driver);
    client
        .batch_execute(&format!("SET search_path = {schema}"))
        .await
        .unwrap();
    client
}

/// Restarts the server at once, as after a crash.
pub(crate) async fn restart() {
    let program =
        env::var("SESSION_KEY_TEST_POSTGRES_RESTART").expect("run these tests by ./script/postgres.sh");
    let status = tokio::task::spawn_blocking(move || Command::new(program).status());
    assert!(status.await.unwrap().unwrap().success());
}
