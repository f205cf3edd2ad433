//! Every way of launching and the name that must come of it.

use crate::discovery::fixture::{Fixture, Spec};
use crate::metadata::host::Host;
use crate::metadata::service::Identifier;

const NODE: &str = "/usr/bin/node";
const PYTHON: &str = "/usr/bin/python3.11";
const JAVA: &str = "/usr/lib/jvm/17/bin/java";
const RUBY: &str = "/usr/bin/ruby3.1";
const PHP: &str = "/usr/bin/php8.2";
const DOTNET: &str = "/usr/share/dotnet/dotnet";
const ID: &str = "3f2a91c0d4b5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f";
const UID: &str = "0a1b2c3d-1111-2222-3333-444455556666";

/// `expected` is the name, or `name version`.
fn check(spec: Spec<'_>, expected: &str) {
    let cgroup = spec.cgroup.replace("UID", UID).replace("ID", ID);
    let fixture = Fixture::of(Spec {
        cgroup: &cgroup,
        ..spec
    });
    let host = Host {
        name: "host01".to_owned(),
        ..Host::default()
    };
    let name = Identifier::new(fixture.proc(), host).name(&fixture.process());
    let found = match &name.version {
        Some(version) => format!("{} {version}", name.name),
        None => name.name.clone(),
    };
    assert_eq!(
        found, expected,
        "{} in {} (from {})",
        spec.command, spec.cwd, name.origin
    );
}

/// Rows of command, working directory, files, name.
fn table(exe: &str, rows: &[(&str, &str, &str, &str)]) {
    for (command, cwd, files, expected) in rows {
        let spec = Spec {
            exe,
            command,
            cwd,
            files,
            ..Spec::default()
        };
        check(spec, expected);
    }
}

#[test]
fn node() {
    const SHOP: &str = r#"/srv/x/package.json => {"name":"shop","version":"1.2.0"}"#;
    table(
        NODE,
        &[
            ("node server.js", "/srv/x", SHOP, "shop 1.2.0"),
            ("node /srv/x/dist/src/main.js", "/", SHOP, "shop 1.2.0"),
            ("node dist/main", "/srv/x", SHOP, "shop 1.2.0"),
            ("node .", "/srv/x", SHOP, "shop 1.2.0"),
            ("node ../x/server.js", "/srv/y", SHOP, "shop 1.2.0"),
            (
                "node --require ./tracing.js server.js",
                "/srv/x",
                SHOP,
                "shop 1.2.0",
            ),
            (
                "node -r dotenv/config server.js",
                "/srv/x",
                SHOP,
                "shop 1.2.0",
            ),
            (
                "node --inspect=0.0.0.0:9229 --max-old-space-size=512 server.js",
                "/srv/x",
                SHOP,
                "shop 1.2.0",
            ),
            (
                "node --import /opt/hook.mjs /srv/x/server.js",
                "/",
                SHOP,
                "shop 1.2.0",
            ),
            ("node|-e|require('http')", "/srv/cart", "", "cart"),
            ("node", "/srv/cart", "", "cart"),
            ("node server.js", "/srv/cart", "", "cart"),
            ("node server.js", "/srv/cart/dist", "", "cart"),
            ("node checkout.js", "/srv/cart", "", "checkout"),
            (
                "node server.js",
                "/srv/cart",
                "/srv/package.json => {\"name\":\"stray\"}",
                "cart",
            ),
            (
                "node server.js",
                "/srv/cart/src",
                r#"/srv/cart/src/package.json => {"type":"module"}"#,
                "cart",
            ),
            (
                "node server.js",
                "/srv/cart",
                "/srv/cart/package.json => {broken",
                "cart",
            ),
            (
                "node server.js",
                "/srv/cart",
                r#"/srv/cart/package.json => {"name":{"a":1}}"#,
                "cart",
            ),
            (
                "node server.js",
                "/srv/cart",
                "/srv/cart/package.json -> /srv/real.json\n/srv/real.json => {\"name\":\"linked\"}",
                "linked",
            ),
            (
                "node server.js",
                "/usr/src/app",
                r#"/usr/src/app/package.json => {"name":"@acme/shop"}"#,
                "@acme/shop",
            ),
            ("node server.js", "/usr/src/app", "", "server"),
            ("npm start", "/srv/x", SHOP, "shop 1.2.0"),
            ("npm run dev|", "/srv/x", SHOP, "shop 1.2.0"),
            ("node /usr/bin/npm start", "/srv/x", SHOP, "shop 1.2.0"),
            (
                "node /usr/share/yarn/bin/yarn.js start",
                "/srv/x",
                SHOP,
                "shop 1.2.0",
            ),
            (
                "node /srv/x/node_modules/.bin/next start",
                "/srv/x",
                SHOP,
                "shop 1.2.0",
            ),
            ("next-server (v14.1.0)|", "/srv/x", SHOP, "shop 1.2.0"),
            (
                "node /srv/x/node_modules/foo/cli.js",
                "/",
                &format!("{SHOP}\n/srv/x/node_modules/foo/package.json => {{\"name\":\"foo\"}}"),
                "shop 1.2.0",
            ),
            (
                "node /usr/lib/node_modules/pm2/lib/ProcessContainerFork.js",
                "/srv/x",
                SHOP,
                "shop 1.2.0",
            ),
            ("node /srv/x/server.js|", "/", SHOP, "shop 1.2.0"),
        ],
    );
    table(
        "/root/.bun/bin/bun",
        &[
            ("bun run server.ts", "/srv/x", SHOP, "shop 1.2.0"),
            ("bun server.ts", "/srv/cart", "", "cart"),
        ],
    );
}

#[test]
fn node_under_pm2() {
    for (environment, expected) in [
        (
            "pm_id=0 name=orders pm_exec_path=/srv/x/server.js",
            "orders",
        ),
        ("pm_id=0 name=server pm_exec_path=/srv/x/server.js", "shop"),
        ("pm_id=0 name=worker pm_exec_path=/srv/x/worker.js", "shop"),
        ("name=orders npm_package_name=other", "other"),
    ] {
        let package = r#"/srv/x/package.json => {"name":"shop"}"#;
        let command = "node /usr/lib/node_modules/pm2/lib/ProcessContainerFork.js";
        check(
            Spec {
                exe: NODE,
                command,
                environment,
                files: package,
                ..Spec::default()
            },
            expected,
        );
    }
}

#[test]
fn python() {
    const PROJECT: &str = r#"/srv/x/pyproject.toml => [project]\nname = "shop"\nversion = "0.3""#;
    const POETRY: &str =
        r#"/srv/x/pyproject.toml => [tool.poetry]\nname = "shop"\nversion = "0.3""#;
    const SETUP: &str =
        r"/srv/x/setup.cfg => [flake8]\nname = no\n[metadata]\nname = shop\nversion = attr: x\n";
    table(
        PYTHON,
        &[
            ("python3 app.py", "/srv/x", PROJECT, "shop 0.3"),
            ("python3 app.py", "/srv/x", POETRY, "shop 0.3"),
            ("python3 app.py", "/srv/x", SETUP, "shop"),
            ("python3 src/app.py", "/srv/x", PROJECT, "shop 0.3"),
            ("python3 app.py", "/srv/x/cart", PROJECT, "cart"),
            (
                "python3 app.py",
                "/srv/x",
                "/srv/x/pyproject.toml => [broken",
                "x",
            ),
            ("python3 app.py", "/srv/cart", "", "cart"),
            ("python3 -u app.py", "/srv/cart", "", "cart"),
            (
                "python3 -W ignore -X dev -O main.py",
                "/srv/cart",
                "",
                "cart",
            ),
            ("python3 /srv/cart/server.py --port 80", "/", "", "cart"),
            (
                "python3 manage.py runserver 0.0.0.0:8000",
                "/srv/cart",
                "",
                "cart",
            ),
            ("python3 orders.py", "/srv/cart", "", "orders"),
            (
                "python3 /srv/cart",
                "/",
                "/srv/cart/__main__.py => x",
                "cart",
            ),
            ("python3 /srv/cart/__main__.py", "/", "", "cart"),
            ("python3 -m shop", "/srv/y", "", "shop"),
            ("python3 -um shop.worker --x", "/srv/y", "", "shop"),
            ("python3 -m services.cart.main", "/srv/y", "", "cart"),
            ("python3 -m app.main", "/srv/cart", "", "cart"),
            (
                "python3 -m http.server 8000",
                "/srv/cart",
                "",
                "http.server",
            ),
            ("python3|-c|import time", "/srv/cart", "", "cart"),
            ("python3 app.py", "/app", "", "app"),
            ("python3", "/", "", "python"),
            (
                "python3 /venv/bin/gunicorn -w 1 --threads 4 shop.wsgi:app",
                "/srv/y",
                "",
                "shop",
            ),
            (
                "python3 /venv/bin/gunicorn -w 1 --threads 4 -b 127.0.0.1:8000 app:app",
                "/srv/cart",
                "",
                "cart",
            ),
            (
                "python3 /venv/bin/gunicorn --unknown value shop.wsgi",
                "/srv/y",
                "",
                "shop",
            ),
            (
                "python3 /venv/bin/gunicorn config.wsgi:application",
                "/srv/x/app",
                PROJECT,
                "shop 0.3",
            ),
            (
                "python3 /venv/bin/gunicorn -k uvicorn.workers.UvicornWorker shop.asgi:app",
                "/srv/y",
                "",
                "shop",
            ),
            ("gunicorn: worker [shop.wsgi:app]|", "/srv/y", "", "shop"),
            ("gunicorn: master [app:app]|", "/srv/cart", "", "cart"),
            (
                "python3 /usr/bin/uvicorn --host 0.0.0.0 shop.main:app --reload",
                "/srv/y",
                "",
                "shop",
            ),
            (
                "python3 -m uvicorn app.main:app",
                "/srv/x",
                PROJECT,
                "shop 0.3",
            ),
            (
                "python3 -m uvicorn --factory shop:create",
                "/srv/y",
                "",
                "shop",
            ),
            (
                "python3 -m gunicorn src.shop.main:app",
                "/srv/y",
                "",
                "shop",
            ),
            (
                "python3 /usr/bin/hypercorn -b :8000 shop:app",
                "/srv/y",
                "",
                "shop",
            ),
            (
                "python3 /usr/bin/waitress-serve --port=8080 --call shop:create_app",
                "/srv/y",
                "",
                "shop",
            ),
            (
                "python3 /usr/bin/daphne -p 8000 shop.asgi:application",
                "/srv/y",
                "",
                "shop",
            ),
            (
                "python3 /usr/bin/flask --app shop run",
                "/srv/y",
                "",
                "shop",
            ),
            ("python3 -m flask run --port 80", "/srv/cart", "", "cart"),
            ("python3 -m flask --app hello.py run", "/srv/y", "", "hello"),
            (
                "python3 /usr/bin/celery -A shop.tasks worker",
                "/srv/y",
                "",
                "shop",
            ),
            (
                "python3 -m celery --app=proj.celery:app worker",
                "/srv/y",
                "",
                "proj",
            ),
            ("python3 /usr/local/bin/shop-api", "/", "", "shop-api"),
        ],
    );
    table(
        "/usr/bin/uwsgi",
        &[(
            "uwsgi --http :80 --module shop.wsgi:app",
            "/srv/y",
            "",
            "shop",
        )],
    );
    let flask = Spec {
        exe: PYTHON,
        command: "python3 -m flask run",
        cwd: "/srv/y",
        ..Spec::default()
    };
    check(
        Spec {
            environment: "FLASK_APP=shop:make",
            ..flask
        },
        "shop",
    );
}

#[test]
fn workers_of_multiprocessing_are_their_parents() {
    let fixture = Fixture::of(Spec {
        ppid: 7,
        exe: PYTHON,
        command: "python3|-c|from multiprocessing.spawn import spawn_main; spawn_main(3)|--multiprocessing-fork",
        cwd: "/srv/y",
        ..Spec::default()
    });
    let command = "python3 /usr/bin/uvicorn shop.main:app --workers 4";
    fixture.add(
        7,
        Spec {
            exe: PYTHON,
            command,
            cwd: "/srv/y",
            ..Spec::default()
        },
    );
    let identifier = Identifier::new(fixture.proc(), Host::default());
    assert_eq!(identifier.name(&fixture.process()).name, "shop");
}

#[test]
fn java() {
    table(
        JAVA,
        &[
            (
                "java -jar shop-1.2.3-SNAPSHOT.jar",
                "/srv/y",
                "",
                "shop 1.2.3-SNAPSHOT",
            ),
            (
                "java -Xmx1g -XX:+UseG1GC -jar /opt/y/shop-api-2.0.jar --server.port=80",
                "/",
                "",
                "shop-api 2.0",
            ),
            ("java -jar shop.jar", "/srv/y", "", "shop"),
            ("java -jar shop-1.0-all.jar", "/srv/y", "", "shop 1.0"),
            ("java -jar app.jar", "/srv/cart", "", "cart"),
            ("java -jar /app.jar", "/", "", "app"),
            (
                "java -jar target/quarkus-app/quarkus-run.jar",
                "/srv/cart",
                "",
                "quarkus-app",
            ),
            (
                "java -Dspring.application.name=orders -jar x.jar",
                "/",
                "",
                "orders",
            ),
            (
                "java -jar x.jar --spring.application.name=orders",
                "/",
                "",
                "orders",
            ),
            (
                "java -cp /a:/b com.acme.shop.CartServer",
                "/",
                "",
                "CartServer",
            ),
            ("java -classpath /a com.acme.shop.Main", "/", "", "shop"),
            ("java -cp /a com.acme.shop.MainKt", "/", "", "shop"),
            ("java -cp /a Main", "/srv/cart", "", "cart"),
            ("java Server.java", "/srv/y", "", "Server"),
            ("java --source 17 Server.java 8080", "/srv/y", "", "Server"),
            ("java -m acme.shop/com.acme.Cart", "/", "", "Cart"),
            (
                "java org.springframework.boot.loader.launch.JarLauncher",
                "/srv/cart",
                "",
                "cart",
            ),
            (
                "java -Dcatalina.base=/srv/cart org.apache.catalina.startup.Bootstrap start",
                "/",
                "",
                "cart",
            ),
            ("java -version", "/", "", "java"),
        ],
    );
    let spring = Spec {
        exe: JAVA,
        command: "java -jar x.jar",
        ..Spec::default()
    };
    check(
        Spec {
            environment: "SPRING_APPLICATION_NAME=orders",
            ..spring
        },
        "orders",
    );
}

#[test]
fn ruby() {
    table(
        RUBY,
        &[
            (
                "ruby /usr/local/bin/puma -C config/puma.rb",
                "/srv/shop",
                "",
                "shop",
            ),
            ("puma 6.4.0 (tcp://0.0.0.0:3000) [shop]|", "/", "", "shop"),
            ("puma: cluster worker 0: 17 [shop]|", "/", "", "shop"),
            (
                "puma 6.4.0 (tcp://0.0.0.0:3000) [app]|",
                "/srv/shop/app",
                "",
                "shop",
            ),
            ("ruby bin/rails server", "/srv/shop/current", "", "shop"),
            (
                "ruby /srv/shop/bin/rails server",
                "/",
                "/srv/shop/config.ru => run App",
                "shop",
            ),
            (
                "unicorn master -c config/unicorn.rb|",
                "/srv/shop",
                "",
                "shop",
            ),
            ("ruby /usr/bin/rackup -p 80", "/srv/shop", "", "shop"),
            ("sidekiq 7.1.0 shop [0 of 5 busy]|", "/", "", "shop"),
            (
                "ruby -r bundler/setup -I lib app.rb",
                "/srv/shop",
                "",
                "shop",
            ),
            ("ruby -rbundler/setup orders.rb", "/srv/shop", "", "orders"),
            ("ruby|-e|sleep", "/srv/shop", "", "shop"),
        ],
    );
}

#[test]
fn php() {
    table(
        "/usr/sbin/php-fpm8.2",
        &[
            ("php-fpm: pool shop|", "/", "", "shop"),
            ("php-fpm: pool www|", "/", "", "php-fpm"),
            (
                "php-fpm: master process (/etc/php/fpm.conf)|",
                "/",
                "",
                "php-fpm",
            ),
        ],
    );
    table(
        PHP,
        &[
            ("php -S 0.0.0.0:80", "/srv/shop/public", "", "shop"),
            (
                "php -S 0.0.0.0:80 -t /srv/shop/public router.php",
                "/",
                "",
                "shop",
            ),
            (
                "php -S 0.0.0.0:80 index.php",
                "/srv/x",
                r#"/srv/x/composer.json => {"name":"acme/shop"}"#,
                "shop",
            ),
            (
                "php artisan serve",
                "/srv/x",
                r#"/srv/x/composer.json => {"name":"laravel/laravel"}"#,
                "x",
            ),
            (
                "php -S 127.0.0.1:80 /srv/shop/vendor/laravel/server.php",
                "/srv/shop/public",
                "",
                "shop",
            ),
            (
                "php -d memory_limit=1G orders.php",
                "/srv/shop",
                "",
                "orders",
            ),
            ("php|-r|sleep(9);", "/srv/shop", "", "shop"),
        ],
    );
}

#[test]
fn dotnet() {
    table(
        DOTNET,
        &[
            ("dotnet Acme.Shop.dll", "/app", "", "Acme.Shop"),
            (
                "dotnet exec --depsfile x.json /app/Shop.dll",
                "/",
                "",
                "Shop",
            ),
            (
                "dotnet --roll-forward Major Shop.dll --urls x",
                "/",
                "",
                "Shop",
            ),
            ("dotnet run", "/srv/shop", "", "shop"),
            (
                "dotnet run --project src/Shop.Api/Shop.Api.csproj",
                "/srv/y",
                "",
                "Shop.Api",
            ),
            ("dotnet app.dll", "/srv/shop", "", "shop"),
        ],
    );
}

#[test]
fn scripts() {
    table(
        "/usr/bin/bash",
        &[
            ("bash /opt/backup.sh", "/", "", "backup"),
            ("bash -e run.sh", "/srv/shop", "", "shop"),
            ("sh|-c|sleep 9", "/srv/shop", "", "shop"),
            ("-bash", "/home/alice", "", "alice"),
            ("bash", "/", "", "bash"),
        ],
    );
    table(
        "/usr/bin/perl5.36",
        &[
            ("perl -w /opt/mail.pl", "/", "", "mail"),
            ("perl|-e|1", "/srv/shop", "", "shop"),
        ],
    );
}

#[test]
fn compiled() {
    table(
        "/usr/sbin/nginx",
        &[
            (
                "nginx: master process /usr/sbin/nginx -g daemon off;|",
                "/",
                "",
                "nginx",
            ),
            ("nginx: worker process|", "/", "", "nginx"),
        ],
    );
    table("/opt/shop/bin/server", &[("./server", "/", "", "shop")]);
    table("/app/server", &[("./server", "/app", "", "server")]);
    table("/opt/shop/bin/cart", &[("./cart", "/", "", "cart")]);
    table(
        "/tmp/go-build123/b001/exe/main",
        &[("/tmp/go-build123/b001/exe/main", "/srv/shop", "", "shop")],
    );
    table("", &[("/usr/local/bin/cart --x", "", "", "cart")]);
}

#[test]
fn surroundings() {
    const POD: &str = "/kubepods/burstable/podUID/ID";
    for (exe, command, cgroup, files, expected) in [
        (
            "/usr/bin/shopd",
            "shopd",
            "/system.slice/shop.service",
            "",
            "shop",
        ),
        (
            "/usr/bin/postgres",
            "postgres: writer|",
            "/system.slice/postgresql@15-main.service",
            "",
            "postgresql",
        ),
        (
            "/usr/bin/shopd",
            "shopd",
            "/system.slice/cron.service",
            "",
            "shopd",
        ),
        (
            PYTHON,
            "python3 /app/main.py",
            "/system.slice/shop.service",
            "",
            "shop",
        ),
        (
            PYTHON,
            "python3 /app/orders.py",
            "/system.slice/shop.service",
            "",
            "orders",
        ),
        (
            NODE,
            "node /app/server.js",
            POD,
            "/etc/hostname => cart-7d9f8b6c5-x2x4z",
            "cart",
        ),
        (
            "/bin/server",
            "/bin/server",
            POD,
            "/etc/hostname => cart-7d9f8b6c5-x2x4z",
            "cart",
        ),
        (
            "/bin/server",
            "/bin/server",
            POD,
            "/etc/hostname => host01",
            "server",
        ),
        (
            "/bin/shopd",
            "/bin/shopd",
            "/docker/ID",
            "/etc/hostname => 3f2a91c0d4b5",
            "shopd",
        ),
        (
            "/bin/shopd",
            "/bin/shopd",
            "/docker/ID",
            "/etc/hostname => shop",
            "shop",
        ),
        (
            "/bin/shopd",
            "/bin/shopd",
            "/",
            "/etc/hostname => shop",
            "shopd",
        ),
    ] {
        check(
            Spec {
                exe,
                command,
                cgroup,
                files,
                ..Spec::default()
            },
            expected,
        );
    }
}

#[test]
fn the_environment_comes_first() {
    for (environment, expected) in [
        ("OTEL_SERVICE_NAME=orders", "orders"),
        (
            "OTEL_SERVICE_NAME=orders OTEL_RESOURCE_ATTRIBUTES=service.name=no",
            "orders",
        ),
        (
            "OTEL_RESOURCE_ATTRIBUTES=a=b,service.name=my%20orders",
            "my orders",
        ),
        (
            "OTEL_RESOURCE_ATTRIBUTES=service.name=orders,broken",
            "cart",
        ),
        ("OTEL_SERVICE_NAME=", "cart"),
        ("OTHER=x", "cart"),
    ] {
        let spec = Spec {
            exe: NODE,
            command: "node server.js",
            cwd: "/srv/cart",
            ..Spec::default()
        };
        check(
            Spec {
                environment,
                ..spec
            },
            expected,
        );
    }
}
