// SPDX-License-Identifier: Apache-2.0

package charts

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/e2e/cluster"
	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
)

// TestCharts walks a chart from its package to a cluster.
func TestCharts(t *testing.T) {
	t.Parallel()
	kube := make(chan *cluster.Cluster, 1)
	l := newLab(t)
	go func() { // the slowest part begins at once
		defer close(kube)
		kube <- cluster.Start(t)
	}()
	token := appToken(t, l)
	archive := packaged(t, l.Registry)
	folder := "oci://" + l.Registry + "/acme/charts"
	ref := folder + "/app:1.2.3"

	// Not before its images are signed.
	signImages(t, l, token, []string{"app"}, []string{"cache"})
	r := l.Hallmark(t, token, "chart", "push", archive, folder)
	wantLab(t, "an image is not signed", r, 1, "refused", l.Registry+"/acme/cache:v1 is not signed (no signature of this service is attached to it) at StatefulSet/release-name-cache spec.template.spec.containers[0].image; sign the images before the chart")
	wantLab(t, "sign cache", l.Hallmark(t, token, "sign", l.Registry+"/acme/cache:v1"), 0)

	// Once they are, and once more: the same manifest, provenance and entries.
	first := push(t, l, token, archive)
	later := l.Token(t, devissuer.GitHub, "run_id=77") // another run
	again := push(t, l, later, archive)
	if again.Digest != first.Digest || !again.Unchanged || first.Unchanged || again.Provenance.Provenance != first.Provenance.Provenance ||
		again.Provenance.LogIndex != first.Provenance.LogIndex || !again.Provenance.Repeated || first.Signature.Kind != "chart" {
		t.Errorf("pushed %+v\nand again %+v", first, again)
	}
	checkImages(t, first)

	ring := filepath.Join(t.TempDir(), "pubring.gpg")
	wantLab(t, "chart keyring", l.Hallmark(t, "", "chart", "keyring", "--out", ring), 0, "keyring\t"+ring, "OpenPGP key\t"+first.Provenance.Key+"\tAcme charts <charts@acme.example>")
	asData := decode[struct {
		Keys    []struct{ Fingerprint string }
		Keyring []byte
	}](t, l.Hallmark(t, "", "chart", "keyring", "-o", "json"))
	if len(asData.Keys) != 1 || asData.Keys[0].Fingerprint != first.Provenance.Key || string(asData.Keyring) != l.Hallmark(t, "", "chart", "keyring").Stdout {
		t.Errorf("the key ring as data: %+v", asData)
	}
	t.Run("helm", func(t *testing.T) { helmVerifies(t, l, token, archive, ref, ring) })
	t.Run("cosign", func(t *testing.T) { otherClients(t, l, first) })
	t.Run("log", func(t *testing.T) { inTheLog(t, l, first, archive, ring) })
	k, ok := <-kube
	if !ok {
		t.Fatal("there is no cluster")
	}
	t.Run("install", func(t *testing.T) { helmInstalls(t, k, ref, ring) })
	t.Run("other keys", func(t *testing.T) { otherKeys(t, k) })
	t.Run("Flux", func(t *testing.T) { fluxFetches(t, l, k, first) })
	l.Stop(t)
	l.Fsck(t)
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// checkImages looks at what was attested of the chart's images.
func checkImages(t *testing.T, p pushResult) {
	t.Helper()
	b, err := attest.ParseBundle(p.Images.Bundle)
	if err != nil {
		t.Fatal(err)
	}
	var st struct{ Predicate attest.ChartImages }
	if err := json.Unmarshal(b.Payload, &st); err != nil {
		t.Fatal(err)
	}
	if len(st.Predicate.Images) != 2 || st.Predicate.Chart.Version != "1.2.3" || st.Predicate.Chart.Archive != p.Provenance.Digest {
		t.Errorf("attested: %s", b.Payload)
	}
	for _, image := range st.Predicate.Images {
		if !image.Signed || image.Digest == "" || image.Pinned || image.Guessed || len(image.Signers) != 1 || !strings.Contains(image.Signers[0], "acme/app/.github/workflows") {
			t.Errorf("image %+v", image)
		}
	}
	if places := strings.Join(st.Predicate.Images[0].Places, " "); !strings.Contains(places, "CronJob/release-name-tidy spec.jobTemplate.spec.template.spec.containers[0].image") ||
		!strings.Contains(places, "initContainers[0]") {
		t.Errorf("places %s", places)
	}
}

// helmVerifies has stock Helm verify what was made, and refuse what was not.
func helmVerifies(t *testing.T, l *lab.Lab, token, archive, ref, ring string) {
	wantLab(t, "provenance", l.Hallmark(t, token, "chart", "provenance", archive, strings.TrimSuffix(ref, "/app:1.2.3"), "--out", archive+".prov"), 0, "OpenPGP key")
	wantStock(t, "helm verify", helm(t, "verify", archive, "--keyring", ring), 0, "Signed by: Acme charts <charts@acme.example>", "Chart Hash Verified")
	pulled := t.TempDir()
	wantStock(t, "helm pull --verify", helm(t, "pull", ref[:strings.LastIndex(ref, ":")], "--version", "1.2.3", "--plain-http", "--verify", "--keyring", ring, "-d", pulled), 0, "Signed by")
	wantStock(t, "helm verify what was pulled", helm(t, "verify", filepath.Join(pulled, "app-1.2.3.tgz"), "--keyring", ring), 0)

	// A changed archive, another chart's provenance, another key.
	tampered := filepath.Join(t.TempDir(), "app-1.2.3.tgz")
	content, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	prov, err := os.ReadFile(archive + ".prov")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, tampered, string(content)+"x")
	writeFile(t, tampered+".prov", string(prov))
	wantStock(t, "a changed archive", helm(t, "verify", tampered, "--keyring", ring), 1, "sha256 sum does not match")
	other := packaged(t, l.Registry, "1.2.3", "1.2.4")
	writeFile(t, other+".prov", string(prov))
	wantStock(t, "another chart's provenance", helm(t, "verify", other, "--keyring", ring), 1, "does not contain a SHA for a file named")
	elsewhere := filepath.Join(t.TempDir(), "pubring.gpg")
	writeFile(t, elsewhere, newLab(t).Hallmark(t, "", "chart", "keyring").Stdout)
	if r := helm(t, "verify", archive, "--keyring", elsewhere); r.Code == 0 {
		t.Error("helm verify accepts another service's key ring")
	}
}

// otherClients has cosign, and our own CLI, verify the chart.
func otherClients(t *testing.T, l *lab.Lab, p pushResult) {
	ref := l.Registry + "/acme/charts/app@" + p.Digest
	issuer := l.Issuer.URL(devissuer.GitHub)
	for _, version := range []string{stock.CosignV2, stock.CosignV3} {
		wantStock(t, version, stock.Cosign(t, version, "verify", "--trusted-root", l.TrustedRoot(), "--certificate-identity", p.Signature.Identity, "--certificate-oidc-issuer", issuer, ref), 0)
	}
	wantStock(t, "cosign: the images", stock.Cosign(t, stock.CosignV3, "verify-attestation", "--type", attest.PredicateChartImages, "--trusted-root", l.TrustedRoot(),
		"--certificate-identity", l.URL+"/attestor", "--certificate-oidc-issuer", l.URL, ref), 0)
	for _, spelling := range []string{ref, "oci://" + ref, "oci://" + l.Registry + "/acme/charts/app:1.2.3"} {
		wantLab(t, "hallmark verify "+spelling, l.Hallmark(t, "", "verify", spelling, "--certificate-identity", p.Signature.Identity, "--certificate-oidc-issuer", issuer), 0)
	}
}

// inTheLog finds the provenance file's entry, as anybody can.
func inTheLog(t *testing.T, l *lab.Lab, p pushResult, archive, ring string) {
	found := l.Hallmark(t, "", "log", "search", string(p.Provenance.Digest), "-o", "json")
	wantLab(t, "log search", found, 0, `"helm"`)
	// Stock rekor-cli verifies that the log has this file of this key.
	writeFile(t, archive+".prov", p.Provenance.Provenance)
	r := stock.Command{Tool: "rekor-cli"}.Run(t, "verify", "--rekor_server", l.URL, "--type", "helm", "--artifact", archive+".prov", "--public-key", ring, "--pki-format", "pgp")
	wantStock(t, "rekor-cli verify", r, 0)
	// The key ring of the trust repository is the same.
	published, err := os.ReadFile(filepath.Join(l.Dir, "trust", "pubring.gpg"))
	if err != nil {
		t.Fatal(err)
	}
	if got := l.Hallmark(t, "", "chart", "keyring").Stdout; got != string(published) {
		t.Error("the key ring that is served is not trust/pubring.gpg")
	}
}

// helmInstalls installs the chart in a cluster, verified, and not unverified.
func helmInstalls(t *testing.T, c *cluster.Cluster, ref, ring string) {
	config := filepath.Join(t.TempDir(), "kubeconfig")
	writeKubeconfig(t, config, c.Config)
	chart, version := ref[:strings.LastIndex(ref, ":")], "1.2.3"
	install := func(name, keyring string) stock.Result {
		return helm(t, "install", name, chart, "--version", version, "--plain-http", "--kubeconfig", config, "--verify", "--keyring", keyring)
	}
	wantStock(t, "helm install --verify", install("shop", ring), 0, "STATUS: deployed")
	list, err := c.Kube.AppsV1().Deployments("default").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 || list.Items[0].Name != "shop-app" {
		t.Errorf("deployments %+v, %v", list, err)
	}
	empty := filepath.Join(t.TempDir(), "empty.gpg")
	writeFile(t, empty, "")
	if r := install("other", empty); r.Code == 0 {
		t.Error("helm install --verify with an empty key ring installs")
	}
}

func writeKubeconfig(t *testing.T, path string, c *rest.Config) {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: c.Host, CertificateAuthorityData: c.CAData}
	if !strings.Contains(c.Host, "://") {
		config.Clusters["test"].Server = "https://" + c.Host
	}
	config.AuthInfos["test"] = &clientcmdapi.AuthInfo{ClientCertificateData: c.CertData, ClientKeyData: c.KeyData, Token: c.BearerToken}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test"}
	config.CurrentContext = "test"
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
}
