CREATE TABLE history_version (version INTEGER NOT NULL);
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
CREATE INDEX ix_runs_started ON runs (started);
CREATE TABLE scenarios (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    file TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    PRIMARY KEY (run, name)
) WITHOUT ROWID;
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
);
CREATE INDEX ix_cases_scenario ON cases (scenario);
CREATE TABLE results (
    run INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    "case" INTEGER NOT NULL REFERENCES cases (id),
    verdict TEXT NOT NULL,
    reason TEXT NOT NULL,
    seconds FLOAT NOT NULL,
    accelerator TEXT NOT NULL,
    qemu_version TEXT NOT NULL,
    suite_revision TEXT NOT NULL,
    PRIMARY KEY (run, "case")
) WITHOUT ROWID;
CREATE INDEX results_of_case ON results ("case", run);
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
CREATE TABLE metrics (
    id INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    unit TEXT NOT NULL,
    CONSTRAINT metrics_name UNIQUE (name, unit)
);
CREATE TABLE measurements (
    run INTEGER NOT NULL, "case" INTEGER NOT NULL, attempt INTEGER NOT NULL,
    metric INTEGER NOT NULL REFERENCES metrics (id),
    ordinal INTEGER NOT NULL,
    value FLOAT NOT NULL,
    PRIMARY KEY (run, "case", attempt, metric, ordinal),
    CONSTRAINT measurements_attempt FOREIGN KEY (run, "case", attempt)
        REFERENCES attempts (run, "case", number) ON DELETE CASCADE
) WITHOUT ROWID;
INSERT INTO history_version VALUES (1);
INSERT INTO runs VALUES (1, '20261118T213000-aaaa0001', '2026-11-18T21:30:00.000Z', '2026-11-18T21:41:00.000Z', TRUE, 0, 640.5, '/ci/runs/20261118-213000-kut', '0.1.0', 'builder', 'aarch64', '6.1.0-40-arm64', 8, 16492674416, 'ARM', 'Neoverse-N1', '', '["run", "kut.yaml"]');
INSERT INTO runs VALUES (2, '20261119T213000-aaaa0002', '2026-11-19T21:30:00.000Z', '2026-11-19T21:42:00.000Z', TRUE, 1, 701.25, '/ci/runs/20261119-213000-kut', '0.1.0', 'builder', 'aarch64', '6.1.0-41-arm64', 8, 16492674416, 'ARM', 'Neoverse-N1', '', '["run", "kut.yaml", "--repeat", "2"]');
INSERT INTO scenarios VALUES (1, 'kut', 'kut.yaml', '5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03');
INSERT INTO scenarios VALUES (2, 'kut', 'kut.yaml', '5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03');
INSERT INTO binaries VALUES (1, 'system', 'aarch64', '/usr/bin/qemu-system-aarch64', '7.2.22', 'kvm tcg', '');
INSERT INTO binaries VALUES (2, 'system', 'aarch64', '/usr/bin/qemu-system-aarch64', '10.0.2', 'kvm tcg', '');
INSERT INTO proofs VALUES (2, 'system', 'aarch64', '', 'works', 'the embedded guests passed');
INSERT INTO cases VALUES (1, 'kut.timer.aarch64.tcg', 'kut', 'kvm-unit-tests', 'timer', '{"arch": "aarch64", "accel": "tcg", "qemu": "system"}');
INSERT INTO cases VALUES (2, 'kut.mte-sync.aarch64.tcg', 'kut', 'kvm-unit-tests', 'mte-sync', '{"arch": "aarch64", "accel": "tcg", "qemu": "system"}');
INSERT INTO results VALUES (1, 1, 'pass', '3 tests', 2.0, 'tcg', '7.2.22', '1da1819e49fc4938985edca67df669099b4c87a7');
INSERT INTO results VALUES (1, 2, 'skip', 'no such CPU property: mte', 0.0, '', '7.2.22', '1da1819e49fc4938985edca67df669099b4c87a7');
INSERT INTO results VALUES (2, 1, 'flaky', '1 of 2 attempts: pass (attempt 1); 1: fail (attempt 2: 1 of 3 subtests failed)', 6.0, 'tcg', '10.0.2', '1da1819e49fc4938985edca67df669099b4c87a7');
INSERT INTO attempts VALUES (1, 1, 1, 'pass', 2.0, NULL, 'tcg', '{"pass": 3}');
INSERT INTO attempts VALUES (2, 1, 1, 'pass', 2.5, '3 tests', 'tcg', '{"pass": 3}');
INSERT INTO attempts VALUES (2, 1, 2, 'fail', 3.5, '1 of 3 subtests failed', 'tcg', '{"pass": 2, "fail": 1}');
INSERT INTO subtests VALUES (2, 1, 2, 1, 'latency', 'fail', '12 ms');
INSERT INTO metrics VALUES (1, 'latency', 'ns');
INSERT INTO measurements VALUES (1, 1, 1, 1, 1, 1200.0);
INSERT INTO measurements VALUES (2, 1, 1, 1, 1, 1300.0);
INSERT INTO measurements VALUES (2, 1, 2, 1, 1, 1350.0);
