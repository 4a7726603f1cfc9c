// SPDX-License-Identifier: Apache-2.0

package rekor

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

// offline runs commands of the operator. With SQLite the service is stopped for
// them, with PostgreSQL it keeps running and follows.
func (d deployment) offline(t *testing.T, commands ...[]string) {
	t.Helper()
	if d.pg == nil {
		d.Stop(t)
		defer d.Serve(t)
	}
	for _, command := range commands {
		if r := d.Server(t, command...); r.Code != 0 {
			t.Fatalf("hallmark-server %s: exit code %d: %s", strings.Join(command, " "), r.Code, r.Stderr)
		}
	}
}

// at is the service under another of its host names, for a v2 shard.
func at(t *testing.T, l *lab.Lab, host string) string {
	t.Helper()
	u, err := url.Parse(l.URL)
	check(t, err)
	u.Host = host + ":" + u.Port()
	return u.String()
}

// rotation starts the next shard of both kinds. What was logged before is as
// good as ever, with the same clients and under the same names; what is logged
// from now on is in the new shards.
func rotation(t *testing.T, start starter) {
	d := start(lab.Options{Writers: "open"})
	l, u, a, c := d.Lab, newCosignUser(t).trusts(t, d.Lab), newAuthor(t), newRekorClient(t, d.Lab)
	c.must(t, "loginfo")
	artifact, signature := a.file(t, "artifact", []byte("old")), a.file(t, "artifact.sig", a.sign(t, []byte("old")))
	upload := []string{"--artifact", artifact, "--signature", signature, "--public-key", a.path("key.pub")}
	index, id := c.upload(t, upload...)
	old := map[string]string{}
	for version, sign := range map[string][]string{
		stock.CosignV2: {"sign", "--key", "cosign.key", "--rekor-url", l.URL, "--yes"},
		stock.CosignV3: {"sign", "--key", "cosign.key", "--signing-config", signingConfig(t, l, l.URL, 2), "--yes"},
	} {
		old[version] = u.registry.PushSmall(t, "acme/app", "old-"+version)
		if r := u.signs(t, version, version == stock.CosignV2, append(sign, old[version])...); r.Code != 0 {
			t.Fatalf("%s: %s", version, r.Stderr)
		}
	}
	kept := keepCheckpoints(t, l)
	full := sizes(t, l)

	d.offline(t, []string{"log", "add", "--kind", "v1"}, []string{"log", "add", "--kind", "v2", "--host", "localhost"})
	if got := sizes(t, l); got["v1"] != full["v1"] || got["v2"] != full["v2"] {
		t.Fatalf("pending logs are in use already: %v, before %v", got, full)
	}
	hallmark(t, l, 0, "pending", "log", "list")
	d.offline(t, []string{"log", "activate", "v1-2"}, []string{"log", "activate", "v2-2"})

	t.Run("old entries", func(t *testing.T) {
		for version, image := range old {
			u.verifies(t, version == stock.CosignV2, image)
		}
		if out := c.must(t, "get", "--uuid", id); !strings.Contains(out, "Index: "+index+"\n") {
			t.Errorf("the old entry by its id: %s", out)
		}
		if out := c.must(t, "get", "--log-index", index); !strings.Contains(out, id) {
			t.Errorf("the old entry by its index: %s", out)
		}
		c.must(t, append([]string{"verify"}, upload...)...)
		if again, same := c.upload(t, upload...); again != index || same != id {
			t.Errorf("the old entry, sent again, is %s %s, was %s %s", again, same, index, id)
		}
		hallmark(t, l, 0, "entry id\t"+id, "log", "get", index)
		if out := c.must(t, "loginfo"); !strings.Contains(out, "Verification Successful!") {
			t.Errorf("loginfo after rotation: %s", out)
		}
		info := unmarshal[struct {
			InactiveShards []struct {
				TreeID   string
				TreeSize int64
			}
		}](t, get(t, l.URL+"/api/v1/log").body)
		if len(info.InactiveShards) != 1 || info.InactiveShards[0].TreeSize != full["v1"] {
			t.Errorf("inactive shards are %+v, the first had %d entries", info.InactiveShards, full["v1"])
		}
	})
	t.Run("new entries", func(t *testing.T) { d.newShards(t, u, a, c, full) })
	t.Run("monitors", func(t *testing.T) {
		for _, path := range kept {
			hallmark(t, l, 0, "consistent\t", "log", "prove", "--since", path)
		}
		hallmark(t, l, 0, "whole\tlocalhost\t", "log", "fsck")
		for _, row := range listLogs(t, l) {
			tesseraFsck(t, row, l.URL+"/hallmark/v1/logs/"+row.Name)
			if row.Kind == "v2" {
				tesseraFsck(t, row, at(t, l, row.Origin))
			}
		}
	})
	d.whole(t)
}

// newShards writes to the new shards of both kinds.
func (d deployment) newShards(t *testing.T, u *cosignUser, a *author, c rekorClient, full map[string]int64) {
	l := d.Lab
	artifact, signature := a.file(t, "new", []byte("new")), a.file(t, "new.sig", a.sign(t, []byte("new")))
	index, id := c.upload(t, "--artifact", artifact, "--signature", signature, "--public-key", a.path("key.pub"))
	if n, err := strconv.ParseInt(index, 10, 64); err != nil || n < full["v1"] {
		t.Errorf("the first new entry has the global index %s; the shard before has %d entries", index, full["v1"])
	}
	c.must(t, "get", "--log-index", index)
	hallmark(t, l, 0, "entry id\t"+id, "log", "get", index)

	frozen := send(t, http.MethodPost, l.URL+"/api/v2/log/entries", "application/json", a.hashedRekordV2(t, []byte("new")))
	if frozen.status != http.StatusMethodNotAllowed || string(frozen.body) != "This log has been frozen, please switch to the latest log.\n" {
		t.Errorf("the frozen v2 log answers %d %q", frozen.status, frozen.body)
	}
	young := send(t, http.MethodPost, at(t, l, "localhost")+"/api/v2/log/entries", "application/json", a.hashedRekordV2(t, []byte("new")))
	entry := unmarshal[struct {
		LogIndex       string
		InclusionProof struct{ Checkpoint struct{ Envelope string } }
	}](t, young.body)
	if young.status != http.StatusCreated || entry.LogIndex != "0" || !strings.HasPrefix(entry.InclusionProof.Checkpoint.Envelope, "localhost\n") {
		t.Errorf("the new v2 log answers %d %s", young.status, young.body)
	}

	// A stock client that takes the service's signing configuration as it is.
	config := filepath.Join(t.TempDir(), "signing_config.json")
	check(t, os.WriteFile(config, get(t, l.URL+"/hallmark/v1/signing_config.json").body, 0o600))
	image := u.registry.PushSmall(t, "acme/app", "new")
	if r := u.modern(t, stock.CosignV3, "sign", "--key", "cosign.key", "--signing-config", config, "--yes", image); r.Code != 0 {
		t.Errorf("cosign with the service's signing configuration: %s", r.Stderr)
	}
	u.verifies(t, false, image)
	hallmark(t, l, 0, "proven", "log", "prove", digestOf(signed(t, l, "acme/app")))
}

// keepCheckpoints keeps the present checkpoint of every log, as a monitor does.
func keepCheckpoints(t *testing.T, l *lab.Lab) (paths []string) {
	t.Helper()
	a := &author{dir: t.TempDir()}
	for _, row := range listLogs(t, l) {
		checkpoint := get(t, l.URL+"/hallmark/v1/logs/"+row.Name+"/checkpoint")
		if checkpoint.status != http.StatusOK {
			t.Fatalf("checkpoint of %s: %d", row.Name, checkpoint.status)
		}
		paths = append(paths, a.file(t, row.Name, checkpoint.body))
	}
	return paths
}
