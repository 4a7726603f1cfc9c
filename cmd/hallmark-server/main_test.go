// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/tlog"
	"github.com/hallmark-dev/hallmark/signer/tlog/index"
)

const testOrigin = "http://127.0.0.1:8080"

// runs runs a command and wants an exit code.
func runs(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, words bytes.Buffer
	if got := run(t.Context(), args, strings.NewReader(""), &out, &words); got != code {
		t.Fatalf("%q: exit code %d, want %d\n%s%s", args, got, code, out.String(), words.String())
	}
	if code != 0 && code != exitNo && out.Len() > 0 {
		t.Errorf("%q failed and wrote to stdout: %s", args, out.String())
	}
	return out.String(), words.String()
}

// says runs a command, wants an exit code and its words to contain a text.
func says(t *testing.T, code int, want string, args ...string) {
	t.Helper()
	if _, words := runs(t, code, args...); !strings.Contains(words, want) {
		t.Errorf("%q says %q, want %q", args, words, want)
	}
}

// template is a deployment as init makes it. It is made once: keys are guarded
// by a slow hash.
var template = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "hallmark-server-test-")
	if err != nil {
		return "", err
	}
	var words bytes.Buffer
	code := run(context.Background(), []string{"init", "--dir", dir, "--origin", testOrigin, "--registry", "127.0.0.1:5000", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"},
		strings.NewReader(""), &words, &words)
	if code != 0 {
		return "", fmt.Errorf("init: exit code %d: %s", code, words.String())
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := template(); err == nil {
		_ = os.RemoveAll(dir) // a temporary folder
	}
	os.Exit(code)
}

// newDeployment returns the folder of a deployment of its own.
func newDeployment(t *testing.T) string {
	t.Helper()
	from, err := template()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "d")
	copyFolder(t, from, dir)
	return dir
}

// copyFolder copies files, readable by their owner only.
func copyFolder(t *testing.T, from, to string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(from), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.MkdirAll(filepath.Join(to, path), 0o700)
		}
		if err == nil {
			writeFile(t, filepath.Join(to, path), readFile(t, filepath.Join(from, path)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// opened is a deployment whose logs are open, without the rest of the service.
type opened struct {
	cfg  *Config
	db   store.Database
	keys *keyRing
	set  *tlog.Set
}

// open opens the logs of a deployment until close, or the end of the test.
func open(t *testing.T, dir string) (_ *opened, closeLogs func()) {
	t.Helper()
	cfg, err := readConfig(filepath.Join(dir, configName))
	if err != nil {
		t.Fatal(err)
	}
	password, err := cfg.password()
	if err != nil {
		t.Fatal(err)
	}
	o := &opened{cfg: cfg, keys: newKeyRing(cfg, password)}
	if o.db, err = openDatabase(t.Context(), cfg, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if o.set, err = tlog.LoadSet(t.Context(), o.db, tlog.SetConfig{Signer: o.keys.signer, Config: tlog.Config{Shared: cfg.shared()}}); err != nil {
		t.Fatal(err)
	}
	closeLogs = sync.OnceFunc(func() {
		if err := o.set.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := o.db.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(closeLogs)
	return o, closeLogs
}

const testImage = "registry.example/acme/app"

// log appends entries to the active logs of both kinds.
func (o *opened) log(t *testing.T, what string, entries int) {
	t.Helper()
	for i := range entries {
		for _, kind := range []tlog.Kind{tlog.V1, tlog.V2} {
			body := fmt.Sprintf(`{"apiVersion":"0.0.1","kind":"test","spec":{"what":"%s","n":%d}}`, what, i)
			if _, _, err := o.set.Append(t.Context(), kind, tlog.Leaf{Body: []byte(body), Keys: []string{index.Image(testImage)}}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// checkpoint writes the checkpoint of a log to a file, as a monitor would have
// it, and returns the file.
func (o *opened) checkpoint(t *testing.T, name string) string {
	t.Helper()
	row, err := o.db.Log(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, filepath.Join(t.TempDir(), name), string(row.Head.Checkpoint))
}

func writeFile(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// fill logs entries in a deployment that is not open, and returns checkpoints
// of both logs.
func fill(t *testing.T, dir, what string, entries int) (v1, v2 string) {
	t.Helper()
	o, closeLogs := open(t, dir)
	defer closeLogs()
	o.log(t, what, entries)
	return o.checkpoint(t, logV1), o.checkpoint(t, logV2)
}

// logsOf is `log list -o json`, by name.
func logsOf(t *testing.T, dir string) map[string]logState {
	t.Helper()
	out, _ := runs(t, 0, "log", "list", "--dir", dir, "-o", "json")
	var answer struct {
		Logs []logState `json:"logs"`
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatal(err)
	}
	logs := map[string]logState{}
	for _, l := range answer.Logs {
		logs[l.Name] = l
	}
	return logs
}
