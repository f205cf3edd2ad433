<?php
switch (parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
    case '/missing':
        http_response_code(404);
        break;
    case '/broken':
        http_response_code(500);
        break;
    case '/large':
        for ($i = 0; $i < 4000; $i++) {
            echo "line $i\n";
        }
        break;
    case '/abort':
        echo str_repeat('only the beginning ', 1000);
        flush();
        posix_kill(getmypid(), SIGKILL);
        break;
    case '/echo':
        echo file_get_contents('php://input');
        break;
    default:
        echo "done\n";
}
