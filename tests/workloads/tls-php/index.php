<?php
// A shop by php-fpm; it asks its stock by curl, over TLS.
[, $verb, $number] = explode('/', parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH));
$status = ['items' => 200, 'call' => 200, 'missing' => 404][$verb] ?? 500;
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $status = 201;
}
if ($verb === 'call') {
    $curl = curl_init(getenv('UPSTREAM') . "/items/$number");
    curl_setopt_array($curl, [CURLOPT_RETURNTRANSFER => true, CURLOPT_CAINFO => getenv('CERTIFICATES') . '/ca.pem']);
    curl_exec($curl);
}
http_response_code($status);
echo "an item\n";
