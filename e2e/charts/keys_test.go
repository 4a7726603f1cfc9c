// SPDX-License-Identifier: Apache-2.0

package charts

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/hallmark-dev/hallmark/e2e/cluster"
	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/signer"
)

// keysPolicy asks for nothing but the right job: here the keys matter.
const keysPolicy = `apiVersion: hallmark.dev/v1alpha1
kind: SigningPolicy
rules:
- name: charts
  identity: github
  actions: [sign, chart-provenance]
  kinds: [chart]
  repositories: [acme/charts/]
  conditions: [{name: own, expression: 'claims.repository == "acme/app"', message: only acme/app}]
`

// keyRotation has patience with a service that follows every second.
const keyRotation = 60 * time.Second

// otherKeys signs charts with RSA keys and with one that was made elsewhere,
// each in the place of the one before, while the service runs.
func otherKeys(t *testing.T, c *cluster.Cluster) {
	l := lab.Start(t, lab.Options{
		Registry: stock.Registry(t).Host, Policy: []byte(keysPolicy), RootKeys: true, Writers: "open",
		Config: "charts: {pgpKey: file, algorithm: rsa-3072}",
	})
	token := appToken(t, l)
	archive := packaged(t, l.Registry)
	old := push(t, l, token, archive)
	first := pulled(t, l, c, "1.2.3", "rsa")
	inRekor(t, l, old.Provenance)

	// The next one, of another size.
	config := filepath.Join(l.Dir, "hallmark.yaml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, config, strings.Replace(string(text), "rsa-3072", "rsa-4096", 1))
	rotated(t, l, token, old.Provenance.Key)
	next := push(t, l, token, packaged(t, l.Registry, "1.2.3", "1.2.4"))
	both := pulled(t, l, c, "1.2.4", "rsa-next")
	inRekor(t, l, next.Provenance)
	if next.Provenance.Key == old.Provenance.Key {
		t.Fatal("it is the same key")
	}
	// What was signed before stays good, and is not signed again.
	version := func(v, ring string) stock.Result {
		return helm(t, "pull", "oci://"+l.Registry+"/acme/charts/app", "--version", v, "--plain-http", "--verify", "--keyring", ring, "-d", t.TempDir())
	}
	wantStock(t, "the old chart with both keys", version("1.2.3", both), 0, "Signed by: Hallmark <charts@127.0.0.1>", old.Provenance.Key)
	if r := version("1.2.4", first); r.Code == 0 {
		t.Error("a ring of the old key alone verifies what the new one signed")
	}
	again := push(t, l, token, archive)
	if again.Digest != old.Digest || !again.Unchanged || !again.Provenance.Repeated || again.Provenance.Key != old.Provenance.Key || again.Provenance.Provenance != old.Provenance.Provenance {
		t.Errorf("pushed after the rotation: %+v\nbefore: %+v", again, old)
	}

	// One that signed charts before there was Hallmark: its own ring is enough.
	secret, theirs, fingerprint := madeElsewhere(t)
	rotated(t, l, token, next.Provenance.Key, "--import", secret)
	last := push(t, l, token, packaged(t, l.Registry, "1.2.3", "1.2.5"))
	if last.Provenance.Key != fingerprint {
		t.Errorf("signed by %s, want %s", last.Provenance.Key, fingerprint)
	}
	wantStock(t, "the ring of before", version("1.2.5", theirs), 0, "Signed by: Acme release <release@acme.example>", fingerprint)
	all := filepath.Join(t.TempDir(), "pubring.gpg")
	writeFile(t, all, l.Hallmark(t, "", "chart", "keyring").Stdout)
	for _, v := range []string{"1.2.3", "1.2.4", "1.2.5"} {
		wantStock(t, v+" with the ring of all keys", version(v, all), 0)
	}

	rekordByRSA(t, l)

	// And all of it is found again at the next start.
	l.Stop(t)
	l.Serve(t)
	if l.Hallmark(t, "", "chart", "keyring").Stdout != read(t, all) || read(t, filepath.Join(l.Dir, "trust", "pubring.gpg")) != read(t, all) {
		t.Error("after a restart the ring is another")
	}
	l.Stop(t)
	l.Fsck(t)
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// pulled has stock Helm verify and install a version of the chart, with the ring
// that the service publishes now, and returns the ring.
func pulled(t *testing.T, l *lab.Lab, c *cluster.Cluster, version, namespace string) (ring string) {
	t.Helper()
	ring = filepath.Join(t.TempDir(), "pubring.gpg")
	writeFile(t, ring, l.Hallmark(t, "", "chart", "keyring").Stdout)
	chart, dir := "oci://"+l.Registry+"/acme/charts/app", t.TempDir()
	wantStock(t, "helm pull --verify "+version, helm(t, "pull", chart, "--version", version, "--plain-http", "--verify", "--keyring", ring, "-d", dir), 0, "Signed by")
	wantStock(t, "helm verify "+version, helm(t, "verify", filepath.Join(dir, "app-"+version+".tgz"), "--keyring", ring), 0, "Chart Hash Verified")
	config := filepath.Join(t.TempDir(), "kubeconfig")
	writeKubeconfig(t, config, c.Config)
	wantStock(t, "helm install --verify "+version, helm(t, "install", "shop", chart, "--version", version, "--plain-http", "--kubeconfig", config,
		"--namespace", namespace, "--create-namespace", "--verify", "--keyring", ring), 0, "STATUS: deployed")
	return ring
}

// inRekor has stock rekor-cli upload what the log has already, by the ring of the
// one key, and verify it.
func inRekor(t *testing.T, l *lab.Lab, p signer.ChartReceipt) {
	t.Helper()
	dir := t.TempDir()
	file, ring, all := filepath.Join(dir, "app.tgz.prov"), filepath.Join(dir, "one.gpg"), filepath.Join(dir, "pubring.gpg")
	writeFile(t, file, p.Provenance)
	writeFile(t, ring, l.Hallmark(t, "", "chart", "keyring", "--key", p.Key).Stdout)
	writeFile(t, all, l.Hallmark(t, "", "chart", "keyring").Stdout)
	rekor := func(command, ring string) stock.Result {
		return stock.Command{Tool: "rekor-cli"}.Run(t, command, "--rekor_server", l.URL, "--type", "helm", "--artifact", file, "--public-key", ring, "--pki-format", "pgp")
	}
	wantStock(t, "rekor-cli verify", rekor("verify", ring), 0, "Current Root Hash")
	wantStock(t, "rekor-cli upload", rekor("upload", ring), 0, fmt.Sprintf("at index %d,", p.LogIndex))
	if r := l.Hallmark(t, "", "chart", "keyring", "--key", strings.Repeat("AB", 20)); r.Code == 0 {
		t.Error("there is a ring of a key that nobody has")
	}
}

// rekordByRSA has stock rekor-cli log and find a file that somebody has signed
// with an RSA key of OpenPGP.
func rekordByRSA(t *testing.T, l *lab.Lab) {
	t.Helper()
	e, err := openpgp.NewEntity("Somebody", "", "somebody@acme.example", &packet.Config{Algorithm: packet.PubKeyAlgoRSA, RSABits: 3072})
	if err != nil {
		t.Fatal(err)
	}
	var signature, public bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&signature, e, strings.NewReader("a file"), nil); err != nil {
		t.Fatal(err)
	}
	if err := e.Serialize(&public); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file, sig, ring := filepath.Join(dir, "file"), filepath.Join(dir, "file.asc"), filepath.Join(dir, "ring.gpg")
	writeFile(t, file, "a file")
	writeFile(t, sig, signature.String())
	writeFile(t, ring, public.String())
	for _, command := range []string{"upload", "verify"} {
		r := stock.Command{Tool: "rekor-cli"}.Run(t, command, "--rekor_server", l.URL, "--type", "rekord", "--artifact", file, "--signature", sig, "--public-key", ring, "--pki-format", "pgp")
		wantStock(t, "rekor-cli "+command+" rekord", r, 0)
	}
	writeFile(t, file, "another file")
	r := stock.Command{Tool: "rekor-cli"}.Run(t, "upload", "--rekor_server", l.URL, "--type", "rekord", "--artifact", file, "--signature", sig, "--public-key", ring, "--pki-format", "pgp")
	wantStock(t, "rekor-cli upload of another file", r, 1)
}

// rotated puts another key in the place of the one that signs, and waits until
// the running service signs with it.
func rotated(t *testing.T, l *lab.Lab, token, before string, flags ...string) {
	t.Helper()
	r := l.Server(t, append([]string{"keys", "rotate", "charts-pgp", "--wait", "0s"}, flags...)...)
	wantLab(t, "keys rotate", r, 0)
	archive := packaged(t, l.Registry, "1.2.3", "0.0.1-probe"+before[:8]) // nobody has seen it, so that it is signed now
	var key string
	for deadline := time.Now().Add(keyRotation); ; time.Sleep(100 * time.Millisecond) {
		// Each question is about another chart: a signature that was made is kept.
		r := l.Hallmark(t, token, "chart", "provenance", archive, "oci://"+l.Registry+"/acme/charts", "-o", "json")
		key = decode[signer.ChartReceipt](t, r).Key
		if key != before {
			return
		}
		if time.Now().After(deadline) {
			break
		}
		archive = packaged(t, l.Registry, "1.2.3", "0.0.1-probe"+before[:8]+time.Now().Format("150405000000"))
	}
	t.Fatalf("%s signs still\n%s%s", key, l.Server(t, "keys", "status").Stdout, l.Log())
}

// madeElsewhere is a secret key that somebody has, its public ring, and its
// fingerprint.
func madeElsewhere(t *testing.T) (secret, ring, fingerprint string) {
	t.Helper()
	birth := time.Date(2022, 2, 2, 2, 2, 2, 0, time.UTC)
	e, err := openpgp.NewEntity("Acme release", "", "release@acme.example", &packet.Config{
		Algorithm: packet.PubKeyAlgoECDSA, Curve: packet.CurveNistP256, Time: func() time.Time { return birth },
	})
	if err != nil {
		t.Fatal(err)
	}
	var public, private bytes.Buffer
	if err := e.Serialize(&public); err != nil {
		t.Fatal(err)
	}
	if err := e.SerializePrivateWithoutSigning(&private, nil); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	secret, ring = filepath.Join(dir, "secret.gpg"), filepath.Join(dir, "theirs.gpg")
	writeFile(t, secret, private.String())
	writeFile(t, ring, public.String())
	return secret, ring, fmt.Sprintf("%X", e.PrimaryKey.Fingerprint)
}
