//! Every OpenTelemetry attribute key that weft writes, once. Semantic conventions 1.45.
#![allow(missing_docs, reason = "the constants are the conventions' own names")]

pub const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.45.0";

// Spans: HTTP
pub const HTTP_REQUEST_METHOD: &str = "http.request.method";
pub const HTTP_REQUEST_METHOD_ORIGINAL: &str = "http.request.method_original";
pub const HTTP_RESPONSE_STATUS_CODE: &str = "http.response.status_code";
pub const HTTP_ROUTE: &str = "http.route";
pub const HTTP_REQUEST_BODY_SIZE: &str = "http.request.body.size";
pub const HTTP_RESPONSE_BODY_SIZE: &str = "http.response.body.size";
pub const URL_PATH: &str = "url.path";
pub const URL_QUERY: &str = "url.query";
pub const URL_SCHEME: &str = "url.scheme";
pub const URL_FULL: &str = "url.full";
pub const USER_AGENT_ORIGINAL: &str = "user_agent.original";

// Spans: RPC
pub const RPC_SYSTEM_NAME: &str = "rpc.system.name";
pub const RPC_METHOD: &str = "rpc.method";
pub const RPC_METHOD_ORIGINAL: &str = "rpc.method_original";
pub const RPC_STATUS_CODE: &str = "rpc.status_code";

// Spans: databases
pub const DB_SYSTEM_NAME: &str = "db.system.name";
pub const DB_OPERATION_NAME: &str = "db.operation.name";
pub const DB_COLLECTION_NAME: &str = "db.collection.name";
pub const DB_QUERY_SUMMARY: &str = "db.query.summary";
pub const DB_QUERY_TEXT: &str = "db.query.text";

// Spans: network
pub const CLIENT_ADDRESS: &str = "client.address";
pub const SERVER_ADDRESS: &str = "server.address";
pub const SERVER_PORT: &str = "server.port";
pub const NETWORK_PEER_ADDRESS: &str = "network.peer.address";
pub const NETWORK_PEER_PORT: &str = "network.peer.port";
pub const NETWORK_PROTOCOL_NAME: &str = "network.protocol.name";
pub const NETWORK_PROTOCOL_VERSION: &str = "network.protocol.version";
pub const NETWORK_TRANSPORT: &str = "network.transport";
pub const ERROR_TYPE: &str = "error.type";
pub const THREAD_ID: &str = "thread.id";

// Spans: TLS
pub const TLS_CIPHER: &str = "tls.cipher";
pub const TLS_ESTABLISHED: &str = "tls.established";
pub const TLS_NEXT_PROTOCOL: &str = "tls.next_protocol";
pub const TLS_PROTOCOL_NAME: &str = "tls.protocol.name";
pub const TLS_PROTOCOL_VERSION: &str = "tls.protocol.version";
pub const TLS_RESUMED: &str = "tls.resumed";

// Spans: weft's own
pub const WEFT_PARENT_EVIDENCE: &str = "weft.parent.evidence";
pub const WEFT_CAPTURE_CUT: &str = "weft.capture.cut";
pub const WEFT_UNKNOWN_FIELDS: &str = "weft.capture.unknown_fields";
pub const WEFT_CONNECTION_OPEN: &str = "weft.connection.open";
pub const WEFT_CONNECTION_RECEIVED: &str = "weft.connection.received_bytes";
pub const WEFT_CONNECTION_SENT: &str = "weft.connection.sent_bytes";
// The conventions have no words for WebSocket.
pub const WEFT_WEBSOCKET_MESSAGES_SENT: &str = "weft.websocket.messages_sent";
pub const WEFT_WEBSOCKET_MESSAGES_RECEIVED: &str = "weft.websocket.messages_received";
pub const WEFT_WEBSOCKET_CLOSE_CODE: &str = "weft.websocket.close_code";
pub const WEFT_WEBSOCKET_SUBPROTOCOL: &str = "weft.websocket.subprotocol";
pub const WEFT_RPC_TIMEOUT: &str = "weft.rpc.timeout_ms";
pub const WEFT_RPC_REQUEST_MESSAGES: &str = "weft.rpc.request.messages";
pub const WEFT_RPC_RESPONSE_MESSAGES: &str = "weft.rpc.response.messages";

// Resources
pub const SERVICE_NAME: &str = "service.name";
pub const SERVICE_NAMESPACE: &str = "service.namespace";
pub const SERVICE_VERSION: &str = "service.version";
pub const SERVICE_INSTANCE_ID: &str = "service.instance.id";
pub const PROCESS_PID: &str = "process.pid";
pub const PROCESS_VPID: &str = "process.vpid";
pub const PROCESS_PARENT_PID: &str = "process.parent_pid";
pub const PROCESS_EXECUTABLE_NAME: &str = "process.executable.name";
pub const PROCESS_EXECUTABLE_PATH: &str = "process.executable.path";
pub const PROCESS_COMMAND: &str = "process.command";
pub const PROCESS_OWNER: &str = "process.owner";
pub const PROCESS_RUNTIME_NAME: &str = "process.runtime.name";
pub const PROCESS_RUNTIME_VERSION: &str = "process.runtime.version";
pub const HOST_NAME: &str = "host.name";
pub const HOST_ID: &str = "host.id";
pub const HOST_ARCH: &str = "host.arch";
pub const OS_TYPE: &str = "os.type";
pub const CONTAINER_ID: &str = "container.id";
pub const K8S_POD_UID: &str = "k8s.pod.uid";
pub const TELEMETRY_SDK_NAME: &str = "telemetry.sdk.name";
pub const TELEMETRY_SDK_LANGUAGE: &str = "telemetry.sdk.language";
pub const TELEMETRY_SDK_VERSION: &str = "telemetry.sdk.version";
pub const TELEMETRY_DISTRO_NAME: &str = "telemetry.distro.name";
pub const TELEMETRY_DISTRO_VERSION: &str = "telemetry.distro.version";
