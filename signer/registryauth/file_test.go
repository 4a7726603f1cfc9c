// SPDX-License-Identifier: Apache-2.0

package registryauth

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
)

func write(t *testing.T, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPassword(t *testing.T) {
	path := write(t, "secret\r\n", 0o640)
	got, end, err := Password{"robot", path}.Credentials(t.Context())
	if err != nil || got != (authn.AuthConfig{Username: "robot", Password: "secret"}) || !end.IsZero() {
		t.Errorf("%+v, %v, %v", got, end, err)
	}
	for name, path := range map[string]string{
		"missing": path + "x", "empty": write(t, "\n", 0o600), "open": write(t, "secret", 0o644),
		"long": write(t, strings.Repeat("secret", 4<<10), 0o600), "folder": t.TempDir(),
	} {
		got, _, err := Password{"robot", path}.Credentials(t.Context())
		if err == nil || got != (authn.AuthConfig{}) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestDockerConfig(t *testing.T) {
	const auth = "cm9ib3Q6c2VjcmV0" // robot:secret
	robot := authn.AuthConfig{Username: "robot", Password: "secret"}
	for name, tc := range map[string]struct {
		host, file string
		want       authn.AuthConfig
		says       string
	}{
		"auth":            {"registry.example", `{"auths":{"registry.example":{"auth":"` + auth + `"}}}`, robot, ""},
		"with a port":     {"registry.example:5000", `{"auths":{"registry.example:5000":{"auth":"` + auth + `"}}}`, robot, ""},
		"as a URL":        {"registry.example", `{"auths":{"https://registry.example/v1/":{"auth":"` + auth + `"}}}`, robot, ""},
		"Docker Hub":      {"docker.io", `{"auths":{"https://index.docker.io/v1/":{"auth":"` + auth + `"}}}`, robot, ""},
		"in the clear":    {"registry.example", `{"auths":{"registry.example":{"username":"robot","password":"secret"}}}`, robot, ""},
		"not padded":      {"registry.example", `{"auths":{"registry.example":{"auth":"cm9ib3Q6czE"}}}`, authn.AuthConfig{Username: "robot", Password: "s1"}, ""},
		"identity token":  {"registry.example", `{"auths":{"registry.example":{"auth":"MDAwMDo=","identitytoken":"secret"}}}`, authn.AuthConfig{IdentityToken: "secret"}, ""},
		"beside a helper": {"registry.example", `{"credsStore":"desktop","auths":{"registry.example":{"auth":"` + auth + `"}}}`, robot, ""},

		"another host":   {"registry.example", `{"auths":{"evil.example":{"auth":"` + auth + `"}}}`, authn.AuthConfig{}, "no entry for registry.example"},
		"another port":   {"registry.example", `{"auths":{"registry.example:5000":{"auth":"` + auth + `"}}}`, authn.AuthConfig{}, "no entry"},
		"a parent":       {"sub.registry.example", `{"auths":{"registry.example":{"auth":"` + auth + `"},"*.example":{"auth":"` + auth + `"}}}`, authn.AuthConfig{}, "no entry"},
		"plain HTTP":     {"registry.example", `{"auths":{"http://registry.example":{"auth":"` + auth + `"}}}`, authn.AuthConfig{}, "no entry"},
		"helper":         {"registry.example", `{"credHelpers":{"registry.example":"ecr-login"}}`, authn.AuthConfig{}, "docker-credential-ecr-login, which is not run"},
		"store":          {"registry.example", `{"credsStore":"desktop","auths":{"registry.example":{}}}`, authn.AuthConfig{}, "docker-credential-desktop"},
		"empty entry":    {"registry.example", `{"auths":{"registry.example":{}}}`, authn.AuthConfig{}, "no entry"},
		"not base64":     {"registry.example", `{"auths":{"registry.example":{"auth":"secret!"}}}`, authn.AuthConfig{}, "base64"},
		"without a user": {"registry.example", `{"auths":{"registry.example":{"auth":"c2VjcmV0"}}}`, authn.AuthConfig{}, "base64"},
		"not JSON":       {"registry.example", `secret`, authn.AuthConfig{}, "JSON"},
		"wrong type":     {"registry.example", `{"auths":{"registry.example":"secret"}}`, authn.AuthConfig{}, "JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, tc.file, 0o600)
			got, end, err := DockerConfig{path, tc.host}.Credentials(t.Context())
			if got != tc.want || !end.IsZero() || (err == nil) != (tc.says == "") {
				t.Fatalf("%+v, %v, %v", got, end, err)
			}
			if err != nil && (!strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "secret")) {
				t.Errorf("error %v", err)
			}
		})
	}
	if _, _, err := (DockerConfig{write(t, `{}`, 0o644), "registry.example"}).Credentials(t.Context()); err == nil || !strings.Contains(err.Error(), "0644") {
		t.Errorf("open file: %v", err)
	}
}

func TestHelper(t *testing.T) {
	t.Setenv("WANTED", "wanted")
	t.Setenv("HALLMARK_PASSWORD", "opens the keys")
	script := func(body string) string { return write(t, "#!/bin/sh\n"+body+"\n", 0o700) }
	for name, tc := range map[string]struct {
		program string
		want    authn.AuthConfig
		says    string
	}{
		"password":    {script(`read h; [ "$1" = get ] && echo "{\"ServerURL\":\"$h\",\"Username\":\"robot\",\"Secret\":\"s-$h\"}"`), authn.AuthConfig{Username: "robot", Password: "s-registry.example"}, ""},
		"token":       {script(`echo '{"Username":"<token>","Secret":"s"}'`), authn.AuthConfig{IdentityToken: "s"}, ""},
		"environment": {script(`echo "{\"Username\":\"$WANTED\",\"Secret\":\"[$HALLMARK_PASSWORD]\"}"`), authn.AuthConfig{Username: "wanted", Password: "[]"}, ""},
		"other host":  {script(`echo '{"ServerURL":"evil.example","Username":"robot","Secret":"hush"}'`), authn.AuthConfig{}, "another host"},
		"fails":       {script(`echo hush; exit 1`), authn.AuthConfig{}, "exit status 1"},
		"says no":     {script(`echo credentials not found in native keychain hush`), authn.AuthConfig{}, "no credentials"},
		"endless":     {script(`while :; do echo hush; done`), authn.AuthConfig{}, "printed"},
		"relative":    {"docker-credential-x", authn.AuthConfig{}, "absolute"},
		"missing":     {"/nowhere/docker-credential-x", authn.AuthConfig{}, "no such file"},
		"no program":  {write(t, "", 0o600), authn.AuthConfig{}, "only its owner"},
		"writable":    {write(t, "", 0o722), authn.AuthConfig{}, "only its owner"},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			got, end, err := Helper{tc.program, []string{"WANTED"}, "registry.example"}.Credentials(t.Context())
			if got != tc.want || !end.IsZero() || (err == nil) != (tc.says == "") {
				t.Fatalf("%+v, %v, %v", got, end, err)
			}
			if err != nil && (!strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "hush") || !strings.Contains(err.Error(), "hint")) {
				t.Errorf("error %v", err)
			}
			if d := time.Since(start); d > helperTimeout {
				t.Errorf("took %s", d)
			}
		})
	}
}
