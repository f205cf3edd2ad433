<?php
// One request in one process of php-fpm.

$upstream = getenv('UPSTREAM');

function call(string $path, int $timeoutMs = 30000): CurlHandle
{
    global $upstream;
    $curl = curl_init($upstream . $path);
    curl_setopt_array($curl, [CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT_MS => $timeoutMs, CURLOPT_NOSIGNAL => true]);
    return $curl;
}

function fetch(string $path): int
{
    // the process keeps the handle, and with it the connection, between calls
    static $curl = null;
    global $upstream;
    $curl ??= call('/');
    curl_setopt($curl, CURLOPT_URL, $upstream . $path);
    curl_exec($curl);
    return curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
}

function fan(string $id): void
{
    $multi = curl_multi_init();
    $calls = array_map(fn (int $step) => call("/leaf/$id/$step"), [1, 2, 3]);
    array_walk($calls, fn (CurlHandle $call) => curl_multi_add_handle($multi, $call));
    do {
        curl_multi_exec($multi, $running);
        curl_multi_select($multi, 0.1);
    } while ($running > 0);
}

function locked(string $id): void
{
    $file = fopen(sys_get_temp_dir() . '/orders.lock', 'c');
    flock($file, LOCK_EX);
    fetch("/leaf/$id/1");
    flock($file, LOCK_UN);
}

[, $verb, $id] = explode('/', parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) + ['', '', ''];

switch ($verb) {
    case 'work':
        fetch("/leaf/$id/1");
        usleep(3000);
        break;
    case 'seq':
        fetch("/leaf/$id/1");
        usleep(3000);
        fetch("/leaf/$id/2");
        break;
    case 'fan':
        fan($id);
        break;
    case 'lock':
        locked($id);
        break;
    case 'retry':
        if (fetch("/flaky/$id/1") === 503) {
            fetch("/flaky/$id/1");
        }
        break;
    case 'after':
        echo "done\n";
        fastcgi_finish_request();
        usleep(3000);
        fetch("/leaf/$id/1");
        exit;
    case 'late':
        curl_exec(call("/slow/$id/1", 50));
        break;
    default:
        http_response_code(404);
}
header('Content-Type: text/plain');
echo "done\n";
