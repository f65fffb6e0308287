-- A history as schema 3 left it: two real runs, shortened; one result was made to have broken.
CREATE TABLE history_version (version INTEGER NOT NULL);
INSERT INTO history_version VALUES(3);
CREATE TABLE runs (
    id INTEGER NOT NULL PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    started TEXT NOT NULL,
    recorded TEXT NOT NULL,
    finished BOOLEAN NOT NULL,
    exit_code INTEGER NOT NULL,
    elapsed FLOAT NOT NULL,
    directory TEXT NOT NULL,
    tool_version TEXT NOT NULL,
    hostname TEXT NOT NULL,
    host_architecture TEXT NOT NULL,
    host_kernel TEXT NOT NULL,
    host_cpus BIGINT NOT NULL,
    host_memory BIGINT NOT NULL,
    cpu_vendor TEXT NOT NULL,
    cpu_model TEXT NOT NULL,
    kvm_device TEXT NOT NULL,
    arguments TEXT NOT NULL
);
INSERT INTO runs VALUES(1,'20261129T142117-335604fb','2026-11-29T14:21:17.336Z','2026-11-29T14:21:20.082Z',TRUE,1,2.668,'/ci/runs/r1','0.1.0','builder','x86_64','6.1.0',2,22346723328,'AuthenticAMD','EPYC','','["run", "nightly.yaml"]');
INSERT INTO runs VALUES(2,'20261129T142515-05bd5215','2026-11-29T14:25:15.537Z','2026-11-29T14:25:28.451Z',TRUE,1,12.867,'/ci/runs/r2','0.1.0','builder','x86_64','6.12.57',2,22880243712,'AuthenticAMD','EPYC','','["run", "nightly.yaml"]');
CREATE TABLE scenarios (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    file TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (run, name)
) WITHOUT ROWID;
INSERT INTO scenarios VALUES(1,'nightly','nightly.yaml','35e2ef73fdba63e2b93d0498dde8239e15da1d646800c5425619d82adead92f8');
INSERT INTO scenarios VALUES(2,'nightly','nightly.yaml','35e2ef73fdba63e2b93d0498dde8239e15da1d646800c5425619d82adead92f8');
INSERT INTO scenarios VALUES(2,'soak','soak.yaml','0bce31f044aab5d0d26cfd52014aeff46bdb63acaed2d5b2491e4cab70385950');
CREATE TABLE binaries (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    qemu TEXT NOT NULL,
    architecture TEXT NOT NULL,
    path TEXT NOT NULL,
    version TEXT NOT NULL,
    accelerators TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (run, qemu, architecture)
) WITHOUT ROWID;
INSERT INTO binaries VALUES(1,'system','aarch64','/usr/bin/qemu-system-aarch64','7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)','tcg','');
INSERT INTO binaries VALUES(1,'system','x86_64','/usr/bin/qemu-system-x86_64','7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)','kvm tcg','');
INSERT INTO binaries VALUES(2,'system','aarch64','/usr/bin/qemu-system-aarch64','10.0.2','tcg','');
INSERT INTO binaries VALUES(2,'system','x86_64','/usr/bin/qemu-system-x86_64','10.0.2','kvm tcg','');
CREATE TABLE proofs (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    qemu TEXT NOT NULL,
    architecture TEXT NOT NULL,
    cpu TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (run, qemu, architecture, cpu)
) WITHOUT ROWID;
CREATE TABLE cases (
    id INTEGER NOT NULL PRIMARY KEY,
    case_id TEXT NOT NULL UNIQUE,
    scenario TEXT NOT NULL,
    suite TEXT NOT NULL,
    test TEXT NOT NULL,
    axes TEXT NOT NULL
, seconds FLOAT, seconds_at TEXT);
INSERT INTO cases VALUES(1,'nightly.boot.aarch64.tcg','nightly','kvm-unit-tests','boot','{"arch": "aarch64", "accel": "tcg", "qemu": "system"}',0.131904,'2026-11-29T14:25:15.537Z');
INSERT INTO cases VALUES(3,'nightly.boot.x86_64.tcg','nightly','kvm-unit-tests','boot','{"arch": "x86_64", "accel": "tcg", "qemu": "system"}',0.297891,'2026-11-29T14:25:15.537Z');
INSERT INTO cases VALUES(7,'nightly.fail.aarch64.tcg','nightly','kvm-unit-tests','fail','{"arch": "aarch64", "accel": "tcg", "qemu": "system"}',0.20963,'2026-11-29T14:25:15.537Z');
INSERT INTO cases VALUES(8,'nightly.fail.s390x.tcg','nightly','kvm-unit-tests','fail','{"arch": "s390x", "accel": "tcg", "qemu": "system"}',NULL,NULL);
INSERT INTO cases VALUES(9,'nightly.fail.x86_64.tcg','nightly','kvm-unit-tests','fail','{"arch": "x86_64", "accel": "tcg", "qemu": "system"}',0.27368,'2026-11-29T14:25:15.537Z');
INSERT INTO cases VALUES(10,'nightly.timer.aarch64.tcg','nightly','kvm-unit-tests','timer','{"arch": "aarch64", "accel": "tcg", "qemu": "system"}',0.347131,'2026-11-29T14:25:15.537Z');
INSERT INTO cases VALUES(12,'nightly.timer.x86_64.tcg','nightly','kvm-unit-tests','timer','{"arch": "x86_64", "accel": "tcg", "qemu": "system"}',0.478362,'2026-11-29T14:25:15.537Z');
INSERT INTO cases VALUES(13,'soak.ram-integrity.x86_64.tcg','soak','kvm-unit-tests','ram-integrity','{"arch": "x86_64", "accel": "tcg", "qemu": "system"}',10.375612,'2026-11-29T14:25:15.537Z');
CREATE TABLE results (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    "case" INTEGER NOT NULL REFERENCES cases (id),
    verdict TEXT NOT NULL,
    reason TEXT NOT NULL,
    seconds FLOAT NOT NULL,
    accelerator TEXT NOT NULL,
    qemu_version TEXT NOT NULL,
    suite_revision TEXT NOT NULL, skip_cause TEXT,
    PRIMARY KEY (run, "case")
) WITHOUT ROWID;
INSERT INTO results VALUES(1,1,'pass','3 tests',0.315856,'tcg','7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)','1da1819e49fc4938985edca67df669099b4c87a7',NULL);
INSERT INTO results VALUES(1,3,'pass','3 tests',0.733295,'tcg','7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)','1da1819e49fc4938985edca67df669099b4c87a7',NULL);
INSERT INTO results VALUES(1,7,'fail','1 of 2 subtests failed: fail: this one fails, as it should',0.66588,'tcg','7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)','1da1819e49fc4938985edca67df669099b4c87a7',NULL);
INSERT INTO results VALUES(1,8,'skip','no such machine here',0.0,'','','1da1819e49fc4938985edca67df669099b4c87a7','scenario');
INSERT INTO results VALUES(1,9,'pass','2 tests',0.576408,'tcg','7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)','1da1819e49fc4938985edca67df669099b4c87a7',NULL);
INSERT INTO results VALUES(1,10,'pass','6 tests',1.23046,'tcg','7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)','1da1819e49fc4938985edca67df669099b4c87a7',NULL);
INSERT INTO results VALUES(1,12,'pass','6 tests',0.567702,'tcg','7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)','1da1819e49fc4938985edca67df669099b4c87a7',NULL);
INSERT INTO results VALUES(2,1,'pass','3 tests',0.26381,'tcg','10.0.2','1da1819e49fc4938985edca67df669099b4c87a7',NULL);
INSERT INTO results VALUES(2,3,'pass','3 tests',0.595785,'tcg','10.0.2','1da1819e49fc4938985edca67df669099b4c87a7',NULL);
INSERT INTO results VALUES(2,7,'fail','1 of 2 subtests failed: fail: this one fails, as it should',0.419261,'tcg','10.0.2','1da1819e49fc4938985edca67df669099b4c87a7',NULL);
INSERT INTO results VALUES(2,8,'skip','no such machine here',0.0,'','','1da1819e49fc4938985edca67df669099b4c87a7','scenario');
INSERT INTO results VALUES(2,9,'fail','1 of 2 subtests failed: fail: this one fails, as it should',0.54737,'tcg','10.0.2','1da1819e49fc4938985edca67df669099b4c87a7',NULL);
INSERT INTO results VALUES(2,10,'pass','6 tests',0.694262,'tcg','10.0.2','1da1819e49fc4938985edca67df669099b4c87a7',NULL);
INSERT INTO results VALUES(2,12,'pass','6 tests',0.956725,'tcg','10.0.2','1da1819e49fc4938985edca67df669099b4c87a7',NULL);
INSERT INTO results VALUES(2,13,'fail','hop 1: downtime 0.004 s, more than 0.001 s; hop 2: downtime 0.042 s, more than 0.001 s; and 19 more',20.751225,'tcg','10.0.2','1da1819e49fc4938985edca67df669099b4c87a7',NULL);
CREATE TABLE attempts (
    run INTEGER NOT NULL, "case" INTEGER NOT NULL, number INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    seconds FLOAT NOT NULL,
    reason TEXT,
    accelerator TEXT NOT NULL,
    subtest_counts TEXT NOT NULL,
    PRIMARY KEY (run, "case", number),
    CONSTRAINT attempts_result FOREIGN KEY (run, "case")
        REFERENCES results (run, "case") ON DELETE CASCADE
) WITHOUT ROWID;
INSERT INTO attempts VALUES(1,1,1,'pass',0.315856,NULL,'tcg','{"pass": 3}');
INSERT INTO attempts VALUES(1,3,1,'pass',0.733295,NULL,'tcg','{"pass": 3}');
INSERT INTO attempts VALUES(1,7,1,'fail',0.66588,NULL,'tcg','{"pass": 1, "fail": 1}');
INSERT INTO attempts VALUES(1,9,1,'pass',0.576408,NULL,'tcg','{"pass": 2}');
INSERT INTO attempts VALUES(1,10,1,'pass',1.23046,NULL,'tcg','{"pass": 6}');
INSERT INTO attempts VALUES(1,12,1,'pass',0.567702,NULL,'tcg','{"pass": 6}');
INSERT INTO attempts VALUES(2,1,1,'pass',0.120769,NULL,'tcg','{"pass": 3}');
INSERT INTO attempts VALUES(2,1,2,'pass',0.143041,NULL,'tcg','{"pass": 3}');
INSERT INTO attempts VALUES(2,3,1,'pass',0.183661,NULL,'tcg','{"pass": 3}');
INSERT INTO attempts VALUES(2,3,2,'pass',0.412123,NULL,'tcg','{"pass": 3}');
INSERT INTO attempts VALUES(2,7,1,'fail',0.190623,NULL,'tcg','{"pass": 1, "fail": 1}');
INSERT INTO attempts VALUES(2,7,2,'fail',0.228637,NULL,'tcg','{"pass": 1, "fail": 1}');
INSERT INTO attempts VALUES(2,9,1,'fail',0.294437,NULL,'tcg','{"pass": 1, "fail": 1}');
INSERT INTO attempts VALUES(2,9,2,'fail',0.252942,NULL,'tcg','{"pass": 1, "fail": 1}');
INSERT INTO attempts VALUES(2,10,1,'pass',0.351426,NULL,'tcg','{"pass": 6}');
INSERT INTO attempts VALUES(2,10,2,'pass',0.342835,NULL,'tcg','{"pass": 6}');
INSERT INTO attempts VALUES(2,12,1,'pass',0.427188,NULL,'tcg','{"pass": 6}');
INSERT INTO attempts VALUES(2,12,2,'pass',0.529537,NULL,'tcg','{"pass": 6}');
INSERT INTO attempts VALUES(2,13,1,'fail',10.236081,NULL,'tcg','{"pass": 7}');
INSERT INTO attempts VALUES(2,13,2,'fail',10.515143,'hop 1: downtime 0.027 s, more than 0.001 s; hop 2: downtime 0.008 s, more than 0.001 s; and 19 more','tcg','{"pass": 7}');
CREATE TABLE subtests (
    run INTEGER NOT NULL, "case" INTEGER NOT NULL, attempt INTEGER NOT NULL,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    verdict TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (run, "case", attempt, position),
    CONSTRAINT subtests_attempt FOREIGN KEY (run, "case", attempt)
        REFERENCES attempts (run, "case", number) ON DELETE CASCADE
) WITHOUT ROWID;
INSERT INTO subtests VALUES(1,7,1,1,'fail: this one fails, as it should','fail','');
INSERT INTO subtests VALUES(2,7,1,1,'fail: this one fails, as it should','fail','');
INSERT INTO subtests VALUES(2,7,2,1,'fail: this one fails, as it should','fail','');
INSERT INTO subtests VALUES(2,9,1,1,'fail: this one fails, as it should','fail','');
INSERT INTO subtests VALUES(2,9,2,1,'fail: this one fails, as it should','fail','');
CREATE TABLE metrics (
    id INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    unit TEXT NOT NULL,
    CONSTRAINT metrics_name UNIQUE (name, unit)
);
INSERT INTO metrics VALUES(1,'timer: clock: frequency','Hz');
INSERT INTO metrics VALUES(2,'timer: clock: per read','ns');
INSERT INTO metrics VALUES(3,'timer: latency: min','ns');
INSERT INTO metrics VALUES(4,'timer: latency: median','ns');
INSERT INTO metrics VALUES(5,'timer: latency: p99','ns');
INSERT INTO metrics VALUES(6,'timer: latency: max','ns');
INSERT INTO metrics VALUES(7,'timer: latency: samples','');
CREATE TABLE measurements (
    run INTEGER NOT NULL, "case" INTEGER NOT NULL, attempt INTEGER NOT NULL,
    metric INTEGER NOT NULL REFERENCES metrics (id),
    ordinal INTEGER NOT NULL,
    value FLOAT NOT NULL,
    PRIMARY KEY (run, "case", attempt, metric, ordinal),
    CONSTRAINT measurements_attempt FOREIGN KEY (run, "case", attempt)
        REFERENCES attempts (run, "case", number) ON DELETE CASCADE
) WITHOUT ROWID;
INSERT INTO measurements VALUES(1,10,1,1,1,62500000.0);
INSERT INTO measurements VALUES(1,10,1,2,1,285.0);
INSERT INTO measurements VALUES(1,10,1,3,1,25248.0);
INSERT INTO measurements VALUES(1,10,1,4,1,86656.0);
INSERT INTO measurements VALUES(1,10,1,5,1,6355424.0);
INSERT INTO measurements VALUES(1,10,1,6,1,7675200.0);
INSERT INTO measurements VALUES(1,10,1,7,1,200.0);
INSERT INTO measurements VALUES(1,12,1,1,1,2596143288.0);
INSERT INTO measurements VALUES(1,12,1,2,1,46.0);
INSERT INTO measurements VALUES(1,12,1,3,1,28354.0);
INSERT INTO measurements VALUES(1,12,1,4,1,56243.0);
INSERT INTO measurements VALUES(1,12,1,5,1,3876773.0);
INSERT INTO measurements VALUES(1,12,1,6,1,5520283.0);
INSERT INTO measurements VALUES(1,12,1,7,1,200.0);
INSERT INTO measurements VALUES(2,10,1,1,1,62500000.0);
INSERT INTO measurements VALUES(2,10,1,2,1,81.0);
INSERT INTO measurements VALUES(2,10,1,3,1,24208.0);
INSERT INTO measurements VALUES(2,10,1,4,1,43616.0);
INSERT INTO measurements VALUES(2,10,1,5,1,96432.0);
INSERT INTO measurements VALUES(2,10,1,6,1,217040.0);
INSERT INTO measurements VALUES(2,10,1,7,1,200.0);
INSERT INTO measurements VALUES(2,10,2,1,1,62500000.0);
INSERT INTO measurements VALUES(2,10,2,2,1,115.0);
INSERT INTO measurements VALUES(2,10,2,3,1,23680.0);
INSERT INTO measurements VALUES(2,10,2,4,1,47472.0);
INSERT INTO measurements VALUES(2,10,2,5,1,3854576.0);
INSERT INTO measurements VALUES(2,10,2,6,1,5671712.0);
INSERT INTO measurements VALUES(2,10,2,7,1,200.0);
INSERT INTO measurements VALUES(2,12,1,1,1,2596143589.0);
INSERT INTO measurements VALUES(2,12,1,2,1,103.0);
INSERT INTO measurements VALUES(2,12,1,3,1,28625.0);
INSERT INTO measurements VALUES(2,12,1,4,1,55793.0);
INSERT INTO measurements VALUES(2,12,1,5,1,766213.0);
INSERT INTO measurements VALUES(2,12,1,6,1,1232754.0);
INSERT INTO measurements VALUES(2,12,1,7,1,200.0);
INSERT INTO measurements VALUES(2,12,2,1,1,2596150682.0);
INSERT INTO measurements VALUES(2,12,2,2,1,62.0);
INSERT INTO measurements VALUES(2,12,2,3,1,29829.0);
INSERT INTO measurements VALUES(2,12,2,4,1,59484.0);
INSERT INTO measurements VALUES(2,12,2,5,1,2706939.0);
INSERT INTO measurements VALUES(2,12,2,6,1,5228031.0);
INSERT INTO measurements VALUES(2,12,2,7,1,200.0);
CREATE TABLE migrations (
    run INTEGER NOT NULL, "case" INTEGER NOT NULL, attempt INTEGER NOT NULL,
    hops BIGINT NOT NULL,
    completed BIGINT NOT NULL,
    as_expected BIGINT NOT NULL,
    bad BIGINT NOT NULL,
    seed TEXT NOT NULL,
    seconds FLOAT NOT NULL,
    broken TEXT NOT NULL,
    PRIMARY KEY (run, "case", attempt),
    CONSTRAINT migrations_attempt FOREIGN KEY (run, "case", attempt)
        REFERENCES attempts (run, "case", number) ON DELETE CASCADE
) WITHOUT ROWID;
INSERT INTO migrations VALUES(2,13,1,24,24,0,0,'838504303',10.236,'["hop 1: downtime 0.004 s, more than 0.001 s", "hop 2: downtime 0.042 s, more than 0.001 s", "and 4 more"]');
INSERT INTO migrations VALUES(2,13,2,24,24,0,0,'2834554581',10.515,'["hop 1: downtime 0.027 s, more than 0.001 s", "hop 2: downtime 0.008 s, more than 0.001 s", "and 4 more"]');
CREATE TABLE statistics (
    run INTEGER NOT NULL, "case" INTEGER NOT NULL, attempt INTEGER NOT NULL,
    name TEXT NOT NULL,
    unit TEXT NOT NULL,
    count BIGINT NOT NULL,
    p50 FLOAT NOT NULL,
    p90 FLOAT NOT NULL,
    p99 FLOAT NOT NULL,
    max FLOAT NOT NULL,
    PRIMARY KEY (run, "case", attempt, name),
    CONSTRAINT statistics_attempt FOREIGN KEY (run, "case", attempt)
        REFERENCES attempts (run, "case", number) ON DELETE CASCADE
) WITHOUT ROWID;
INSERT INTO statistics VALUES(2,13,1,'blackout','s',23,0.062081,0.102708,0.144731,0.144731);
INSERT INTO statistics VALUES(2,13,1,'downtime','s',24,0.012,0.041,0.07,0.07);
INSERT INTO statistics VALUES(2,13,1,'transferred','B',24,17084833.0,18045015.0,18915224.0,18915224.0);
INSERT INTO statistics VALUES(2,13,2,'blackout','s',23,0.05951,0.088525,0.175666,0.175666);
INSERT INTO statistics VALUES(2,13,2,'downtime','s',24,0.016,0.028,0.035,0.035);
INSERT INTO statistics VALUES(2,13,2,'transferred','B',24,17010584.0,18036817.0,18106440.0,18106440.0);
CREATE TABLE hops (
    run INTEGER NOT NULL, "case" INTEGER NOT NULL, attempt INTEGER NOT NULL,
    number BIGINT NOT NULL,
    begun FLOAT NOT NULL,
    strategy TEXT NOT NULL,
    transport TEXT NOT NULL,
    source TEXT NOT NULL,
    destination TEXT NOT NULL,
    outcome TEXT NOT NULL,
    good BOOLEAN NOT NULL,
    fault TEXT,
    reason TEXT NOT NULL,
    seconds FLOAT NOT NULL,
    total_time FLOAT,
    setup_time FLOAT,
    downtime FLOAT,
    stop_to_resume FLOAT,
    blackout FLOAT,
    silence FLOAT,
    clock_jump FLOAT,
    transferred BIGINT,
    passes BIGINT,
    dirty_rate BIGINT,
    throughput FLOAT,
    throttle BIGINT,
    PRIMARY KEY (run, "case", attempt, number),
    CONSTRAINT hops_attempt FOREIGN KEY (run, "case", attempt)
        REFERENCES attempts (run, "case", number) ON DELETE CASCADE
) WITHOUT ROWID;
INSERT INTO hops VALUES(2,13,1,1,1795962316.188,'precopy','unix','system 7.2.22','system 7.2.22','completed',TRUE,NULL,'',0.364786,0.357,0.084,0.004,0.00412,NULL,NULL,NULL,18045015,3,NULL,66268774.0,0);
INSERT INTO hops VALUES(2,13,1,2,1795962316.729,'precopy','unix','system 7.2.22','system 7.2.22','completed',TRUE,NULL,'',0.476268,0.464,0.061,0.042,0.041223,0.062081,0.154169,-0.050523,18915224,4,NULL,47215541.0,0);
INSERT INTO hops VALUES(2,13,1,24,1795962325.522,'precopy','unix','system 7.2.22','system 7.2.22','completed',TRUE,NULL,'',0.296138,0.281,0.051,0.008,0.007628,0.040507,0.165874,0.000125,17987649,3,NULL,78356182.0,0);
CREATE INDEX ix_runs_started ON runs (started);
CREATE INDEX ix_cases_scenario ON cases (scenario);
CREATE INDEX results_of_case ON results ("case", run);
