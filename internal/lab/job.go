// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/hallmark-dev/hallmark/internal/devissuer"
)

// Job is a CI job at GitHub with files of its own.
type Job struct {
	*Lab
	Bearer string // its token

	dir string
}

// Job starts a job: a push to the main branch of acme/app, but for the claims
// (NAME=VALUE).
func (l *Lab) Job(t testing.TB, claims ...string) *Job {
	t.Helper()
	return &Job{Lab: l, Bearer: l.Token(t, devissuer.GitHub, claims...), dir: t.TempDir()}
}

// File writes a file of the job and returns its path.
func (j *Job) File(t testing.TB, name, content string) string {
	t.Helper()
	path := filepath.Join(j.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Do runs hallmark as the job.
func (j *Job) Do(t testing.TB, args ...string) Result {
	t.Helper()
	return j.Hallmark(t, j.Bearer, args...)
}
