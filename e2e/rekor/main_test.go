// SPDX-License-Identifier: Apache-2.0

// Package rekor tests the transparency logs as their clients see them: stock
// rekor-cli, cosign 2 and 3, sigstore-go, the clients of rekor-tiles and
// Tessera's fsck, against real servers on SQLite and on PostgreSQL. None of the
// clients is patched, and nothing but the database differs between the two.
package rekor

import (
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/internal/pglab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// deployment is a running service.
type deployment struct {
	*lab.Lab
	pg *pglab.Server // nil with SQLite
}

// starter starts a deployment on the database that is being tested.
type starter func(o lab.Options) deployment

func TestLog(t *testing.T) {
	pg := pglab.Start(t)
	for _, engine := range []struct {
		name string
		pg   *pglab.Server
	}{{"sqlite", nil}, {"postgres", pg}} {
		for _, scenario := range []struct {
			name string
			run  func(t *testing.T, start starter)
		}{
			{"open", openLog}, {"issued", issuedLog}, {"closed", closedLog}, {"rotation", rotation}, {"backup", backup},
		} {
			t.Run(engine.name+"/"+scenario.name, func(t *testing.T) {
				t.Parallel() // each has a deployment of its own, and waits for one client at a time
				scenario.run(t, func(o lab.Options) deployment {
					if engine.pg != nil {
						o.Database = engine.pg.NewDatabase(t)
					}
					return deployment{lab.Start(t, o), engine.pg}
				})
			})
		}
	}
}

// whole stops the service and has its own fsck look.
func (d deployment) whole(t *testing.T) {
	t.Helper()
	d.Stop(t)
	d.Fsck(t)
}

// openLog has every client at one deployment that takes anybody's entries.
func openLog(t *testing.T, start starter) {
	d := start(lab.Options{Writers: "open"})
	for _, step := range []struct {
		name string
		run  func(t *testing.T, l *lab.Lab)
	}{
		{"rekor-cli", rekorCLI},
		{"cosign", cosignSigns},
		{"sigstore-go", sigstoreGo},
		{"rekor-tiles", rekorTiles},
		{"bad input v1", badInputV1},
		{"bad input v2", badInputV2},
		{"fsck", stockFsck},
	} {
		t.Run(step.name, func(t *testing.T) { step.run(t, d.Lab) })
	}
	d.whole(t)
}

// hallmark runs the CLI without a token and wants an exit code and a text.
func hallmark(t *testing.T, l *lab.Lab, code int, says string, args ...string) string {
	t.Helper()
	r := l.Hallmark(t, "", args...)
	if r.Code != code || !strings.Contains(r.Stdout+r.Stderr, says) {
		t.Errorf("hallmark %s: exit code %d, want %d and %q\n%s%s", strings.Join(args, " "), r.Code, code, says, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
