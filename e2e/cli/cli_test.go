// SPDX-License-Identifier: Apache-2.0

// Package cli tests what people and CI jobs see of Hallmark's programs: words,
// data, exit codes and files. The tests are scripts in testdata that run the
// real programs; commands_test.go explains the commands that they have beside
// those of testscript. docs_test.go runs the commands that the documentation
// shows.
package cli

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// TestScripts runs testdata/*.txt, side by side, against one running Hallmark
// and whatever they start themselves.
func TestScripts(t *testing.T) {
	l := lab.Start(t, lab.Options{})
	github := httptest.NewServer(gitHubTokens(l.Issuer))
	t.Cleanup(github.Close)
	testscript.Run(t, testscript.Params{
		Dir:                "testdata",
		RequireUniqueNames: true,
		Cmds:               commands(),
		Setup: func(env *testscript.Env) error {
			t := env.T().(testing.TB) //nolint:errcheck // documented for scripts started by Run
			s := &scene{t: t, lab: l, running: map[string]*program{}}
			env.Values[sceneKey{}] = s
			env.Defer(s.killAll)
			env.Setenv("PATH", filepath.Dir(lab.Program(t, "hallmark"))+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("LAB_URL", l.URL)
			env.Setenv("LAB_REGISTRY", l.Registry)
			env.Setenv("LAB_ROOT", l.TrustedRoot())
			env.Setenv("LAB_ISSUER", l.Issuer.URL(devissuer.GitHub))
			env.Setenv("WORKFLOW", appWorkflow)
			env.Setenv("GITHUB_TOKENS", github.URL+"/token?api-version=2.0")
			env.Setenv("LISTEN", lab.FreeAddress(t))
			env.Setenv("ADMIN", lab.FreeAddress(t))
			return nil
		},
	})
}

// appWorkflow is the identity of the lab's default token.
const appWorkflow = "https://github.com/acme/app/.github/workflows/release.yml@refs/heads/main"

// gitHubTokens is the runner's token endpoint: GET with the audience added to
// the query that it gave out, and the runner's own secret.
// https://docs.github.com/en/actions/reference/security/oidc
func gitHubTokens(issuer *devissuer.Issuer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /token", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "bearer runner-secret" || r.URL.Query().Get("api-version") != "2.0" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		token, err := issuer.Mint(devissuer.GitHub, r.URL.Query().Get("audience"), nil, time.Now())
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = w.Write([]byte(`{"count": 1, "value": "` + token + `"}`))
	})
	return mux
}
