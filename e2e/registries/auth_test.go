// SPDX-License-Identifier: Apache-2.0

package registries

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

const (
	robot    = "robot"
	password = "correct horse"
)

// TestBasicAuth: CNCF distribution with a password, which the service has from
// a file or from a Docker configuration.
func TestBasicAuth(t *testing.T) {
	registry := stock.Registry(t, stock.WithBasicAuth(robot, password))
	credentials := remote.WithAuth(&authn.Basic{Username: robot, Password: password})
	dir := t.TempDir()
	secret := func(name, content string) string {
		path := filepath.Join(dir, name)
		check(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	passwordFile := secret("password", password+"\n")
	docker := secret("docker.json", fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, registry.Host, base64.StdEncoding.EncodeToString([]byte(robot+":"+password))))
	whole := t // a server that is started again outlives the subtest
	l := lab.Start(t, lab.Options{Registry: registry.Host})
	for name, source := range map[string]string{
		"password file":        fmt.Sprintf("username: %s, passwordFile: %q", robot, passwordFile),
		"docker configuration": fmt.Sprintf("dockerConfig: %q", docker),
	} {
		t.Run(name, func(t *testing.T) {
			reconfigure(whole, l, "insecure: true, "+source+"}")
			image := push(t, registry.Host, "acme/app", credentials)
			sign(t, l, 0, image)
			if found := bundles(t, image, oci.Registry{Host: registry.Host, Insecure: true}, user{robot, password}); len(found) != 1 {
				t.Errorf("%d bundles", len(found))
			}
			if log := l.Log(); strings.Contains(log, password) {
				t.Error("the password is in the log")
			}
		})
	}
	for name, source := range map[string]string{
		"anonymous":      "insecure: true}",
		"wrong password": fmt.Sprintf("insecure: true, username: %s, passwordFile: %q}", robot, secret("wrong", "incorrect horse")),
	} {
		t.Run(name, func(t *testing.T) {
			reconfigure(whole, l, source)
			image := push(t, registry.Host, "acme/app", credentials)
			_, words := sign(t, l, 3, image)
			for _, want := range []string{registry.Host, "denies access", "hint"} {
				if !strings.Contains(words, want) {
					t.Errorf("the job is not told %q: %s", want, words)
				}
			}
			if strings.Contains(words, "incorrect horse") {
				t.Errorf("the password is in the answer: %s", words)
			}
		})
	}
	endsWith(t, l, 2)
}
