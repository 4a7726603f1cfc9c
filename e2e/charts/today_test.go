// SPDX-License-Identifier: Apache-2.0

package charts

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/internal/devissuer"
)

// TestImagesOfToday: what was attested of a chart's images counts while it is
// so. Tags move and images are revoked between the statement and the signature,
// and afterwards.
func TestImagesOfToday(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	token := appToken(t, l)
	signImages(t, l, token, []string{"app", "cache"}, nil)
	archive := packaged(t, l.Registry)
	push(t, l, token, archive)
	chart, app := "oci://"+l.Registry+"/acme/charts/app:1.2.3", l.Registry+"/acme/app:v1"
	sign := func(what string, run string, code int, says ...string) {
		t.Helper()
		wantLab(t, what, l.Hallmark(t, l.Token(t, devissuer.GitHub, "run_id="+run), "sign", chart), code, says...)
	}

	// The tag leads elsewhere; that is signed, too; then it is revoked.
	moved := l.PushSmall(t, "acme/app", "v1")
	sign("a moved tag", "2", 1, app+" is not signed (no signature of this service is attached to it)")
	wantLab(t, "sign what it leads to", l.Hallmark(t, token, "sign", app), 0)
	sign("a moved tag that is signed", "3", 0, "signed")
	digest := moved[strings.LastIndex(moved, "@")+1:]
	if r := l.Server(t, "revoke", "digest", "--reason", "ships a miner", digest); r.Code != 0 {
		t.Fatalf("revoke: %s%s", r.Stdout, r.Stderr)
	}
	for deadline := time.Now().Add(time.Minute); !strings.Contains(l.Hallmark(t, "", "revoke", "list").Stdout, digest); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the service does not know the revocation")
		}
	}
	sign("a revoked image", "4", 1, app+" is revoked (digest "+digest+" was revoked on ", "ships a miner) at CronJob/release-name-tidy spec.jobTemplate.spec.template.spec.containers[0].image and 2 other places; have the chart refer to others")
	sign("the run that has a signature already", "3", 1, app+" is revoked")
	wantLab(t, "provenance", l.Hallmark(t, token, "chart", "push", archive, "oci://"+l.Registry+"/acme/charts"), 1, app+" is revoked", "ships a miner")
	wantLab(t, "chart images", l.Hallmark(t, token, "chart", "images", chart), 0, "image\t"+app, "revoked", "ships a miner")
	l.Stop(t)
	l.Fsck(t)
}

// TestReachesNobody: a chart that looks names up and has its schema elsewhere is
// read by the service, and reaches nobody.
func TestReachesNobody(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	address, came := counting(t)
	archive := archiveOf(t,
		member{"app/Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.2.3\n"}, member{"app/values.yaml", "a: b\n"},
		member{"app/values.schema.json", `{"properties": {"a": {"$ref": "http://` + address + `/schema.json"}}}`},
		member{"app/templates/x.yaml", `# {{ getHostByName "localhost" }} {{ lookup "v1" "Secret" "" "" }} {{ .Files.Get "/etc/passwd" }}`})
	status, answer := ask(t, l, appToken(t, l), l.Registry+"/acme/charts/app", "app-1.2.3.tgz", archive)
	if status != 200 || came() != 0 {
		t.Errorf("%d connections; %d %s", came(), status, answer)
	}
}

// counting listens, and counts whoever comes.
func counting(t *testing.T) (address string, came func() int64) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // nobody came
	var n atomic.Int64
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n.Add(1)
			_ = c.Close() // counted
		}
	}()
	return l.Addr().String(), n.Load
}
