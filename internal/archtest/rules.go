// SPDX-License-Identifier: Apache-2.0

package archtest

import "slices"

// room is one row of the import table: a package may import these of ours and
// no others. A pattern ending in /... stands for a folder and all below it; of
// several rows that cover a package, the longest pattern is its row.
type room struct {
	pattern string
	may     []string
	why     string
}

// rooms is the import table of docs/DESIGN.md. A package without a row is an
// error: a new room is a decision.
func rooms() []room {
	const (
		pure  = "what decides must depend on its input alone, so that the same question has the same answer everywhere"
		child = "children do I/O behind the ports of package signer; if they know each other, none can be replaced or tested alone; cmd wires them"
		leaf  = "internal packages are leaves that anything may use; with an import of ours they would close a circle"
	)
	product := []string{"attest/...", "policy/...", "signer/...", "verifier/...", "deploy/...", "internal/obs", "internal/devissuer", "internal/program", "internal/freeport"}
	everything := append([]string{"e2e/...", "internal/..."}, product...)
	return []room{
		{"policy", []string{"attest/platform", "policy/vers", "internal/near"}, pure},
		{"policy/vers", nil, pure},
		{"policy/document", []string{"attest", "policy"}, "the one place that knows both the formats of evidence and what policies see of them; " + pure},
		{"attest", []string{"internal/near"}, pure},
		{"attest/platform", []string{"internal/near"}, "policies and whoever picks images of an index have one meaning of a platform's name; " + pure},
		{"attest/oci", []string{"attest", "attest/platform"}, "the registry client carries statements, whoever made them and whatever they are for"},
		{"attest/helm", []string{"attest"}, "charts are parsed, not judged"},
		{"attest/helm/render", []string{"attest", "attest/helm"}, "charts are rendered, not judged"},

		{"verifier/trust", nil, "trust roots come from bytes or from TUF; who believes them is the verifier's business"},
		{"verifier", []string{"attest", "attest/oci", "policy", "policy/document", "verifier/trust"},
			"others import the verifier: it must not bring the signing service along"},
		{"verifier/admission", []string{"verifier", "policy", "attest"},
			"admission translates Kubernetes to the verifier's terms and leaves verification and the registry to it"},

		{"signer", []string{"attest", "attest/oci", "policy", "policy/document"},
			"the flow knows nouns and ports; what checks a finished bundle is handed in as one of them"},
		{"signer/...", []string{"signer", "attest", "policy"}, child},
		{"signer/keys/pgp", nil, child + "; an OpenPGP key is made of any signer, wherever that is"},
		{"signer/keys/kms", []string{"signer/keys"},
			"the SDKs of key management services are large: whoever needs keys in files must not link them"},
		{"signer/api", []string{"signer", "attest", "attest/oci", "policy"},
			child + "; the API knows the registry client only to map its errors to problem documents"},
		{"signer/registryauth", nil,
			child + "; it finds credentials for hosts, whatever is done there"},
		{"signer/evidence", []string{"signer", "attest", "attest/oci", "policy", "policy/document"},
			child + "; it gathers what is proven about artifacts of the registry"},
		{"signer/store/...", []string{"signer", "attest", "attest/oci", "policy", "signer/tlog", "signer/tlog/storagetest", "signer/store/..."},
			child + "; the store implements the storage contract that the log declares, and writes down the artifacts that intents hold"},
		{"signer/trustroot/tuf", nil, "the trust repository holds files; what they say is trustroot's business, and holders of the root run this code offline"},
		{"signer/tlog", nil, "the log engine stores leaves; it must work, and be tested, without knowing what they mean"},
		{"signer/tlog/...", []string{"signer", "attest", "policy", "signer/tlog/..."},
			child + "; wire personalities and the storage suite exist for the log engine"},
		{"signer/tlog/rekorv1", []string{"attest", "signer/tlog", "signer/tlog/index", "signer/tlog/writers"},
			child + "; the two wire personalities share who may write and what an entry is found by, and know nothing of each other"},
		{"signer/tlog/rekorv2", []string{"attest", "signer/tlog", "signer/tlog/index", "signer/tlog/tiles", "signer/tlog/writers"},
			child + "; the two wire personalities share who may write and what an entry is found by, and know nothing of each other"},

		{"cmd/...", append([]string{"cmd/..."}, product...), "programs do not ship test machinery"},
		{"deploy/...", nil, "what is deployed wraps programs and files, it does not link them"},

		{"internal/obs", nil, leaf},
		{"internal/devissuer", nil, leaf},
		{"internal/near", nil, leaf},
		{"internal/program", nil, leaf},
		{"internal/freeport", nil, leaf},
		{"internal/reference", nil, leaf},
		{"internal/archtest", nil, leaf},
		{"internal/...", everything, "demo, bench and lab drive the whole of Hallmark, but no program's package main"},
		{"e2e/...", everything, "whole-system tests may use anything but a program's package main"},
	}
}

// ban is a rule about packages that are not ours, or that some of ours must not
// reach.
type ban struct {
	from   []string // our packages that the rule is about
	except []string // those of them that it is not about
	never  []string // what they must not import
	but    []string // the parts of never that are allowed
	linked bool     // also through other packages
	why    string
}

func bans() []ban {
	all := []string{"attest/...", "cmd/...", "deploy/...", "e2e/...", "internal/...", "policy/...", "signer/...", "verifier/..."}
	database := []string{
		"modernc.org/sqlite/...", "github.com/mattn/go-sqlite3/...", "github.com/jackc/pgx/...", "github.com/lib/pq/...",
		"github.com/pressly/goose/...", "signer/store/...",
	}
	kms := []string{
		"github.com/sigstore/sigstore/pkg/signature/kms/aws/...", "github.com/sigstore/sigstore/pkg/signature/kms/azure/...",
		"github.com/sigstore/sigstore/pkg/signature/kms/gcp/...", "github.com/sigstore/sigstore/pkg/signature/kms/hashivault/...",
		"github.com/aws/aws-sdk-go-v2/service/kms/...", "github.com/Azure/azure-sdk-for-go/sdk/security/keyvault/...",
		"cloud.google.com/go/kms/...", "github.com/hashicorp/vault/...",
		"github.com/miekg/pkcs11/...", "github.com/ThalesGroup/crypto11/...", "github.com/ThalesIgnite/crypto11/...",
	}
	clouds := []string{ // whose identities are exchanged for credentials
		"github.com/aws/aws-sdk-go/...", "github.com/aws/aws-sdk-go-v2/...", "github.com/Azure/azure-sdk-for-go/...",
		"github.com/AzureAD/...", "golang.org/x/oauth2/google/...", "cloud.google.com/go/compute/...",
	}
	return []ban{
		{
			from: all, linked: true,
			never: []string{
				"github.com/sigstore/rekor/pkg/sharding/...", "github.com/sigstore/rekor/pkg/signer/...",
				"github.com/sigstore/rekor/pkg/generated/restapi/...",
				"github.com/sigstore/fulcio/pkg/server/...", "github.com/sigstore/fulcio/pkg/ca/kmsca/...",
				"github.com/sigstore/fulcio/pkg/ca/tinkca/...",
			},
			why: "these are servers, not libraries: they bring every KMS SDK and state of their own",
		},
		{
			from:  all,
			never: []string{"github.com/sigstore/cosign/..."},
			but:   []string{"github.com/sigstore/cosign/v2/pkg/oci/...", "github.com/sigstore/cosign/v2/pkg/types"},
			why:   "cosign's other packages end the process, open URLs and run the programs that a reference names",
		},
		{
			from: all, except: []string{"verifier/admission/...", "cmd/hallmark-controller/...", "e2e/..."},
			never: []string{"k8s.io/...", "sigs.k8s.io/..."},
			but:   []string{"sigs.k8s.io/yaml/..."},
			why:   "only the cluster side knows Kubernetes: its libraries are large and their versions move together",
		},
		{
			from: all, except: []string{"signer/keys/kms"},
			never: kms,
			why:   "one room speaks to key management services, and pins what they answer",
		},
		{
			from: all, except: []string{"signer/keys/kms", "signer/registryauth"},
			never: clouds,
			why:   "the clouds' SDKs are large and find credentials by themselves: two rooms keep them to what was configured",
		},
		{
			from: all,
			never: []string{
				"github.com/sigstore/sigstore/pkg/signature/kms", "github.com/sigstore/sigstore/pkg/signature/kms/cliplugin/...",
				"github.com/sigstore/sigstore/pkg/signature/kms/fake/...",
			},
			why: "its Get runs a program from the PATH for a scheme that it does not know; signer/keys/kms calls each scheme's own function",
		},
		{
			from: []string{"cmd/hallmark/..."}, linked: true,
			never: slices.Concat([]string{"database/sql"}, database, kms, clouds, []string{"signer/registryauth", "internal/obs"}),
			why:   "every CI job downloads the CLI: no database, no KMS or cloud SDK, no metrics",
		},
		{
			from: []string{"cmd/hallmark-controller/..."}, linked: true,
			// Not database/sql itself: the metrics library links it, without a driver.
			never: slices.Concat(database, kms, clouds, []string{"signer/registryauth", "signer/keys/..."}),
			why:   "the cluster side holds no keys and no database, so taking it over gives no signature",
		},
		{
			from: []string{"cmd/hallmark/...", "cmd/hallmark-server/...", "cmd/hallmark-controller/..."}, linked: true,
			never: []string{"attest/helm/render", "helm.sh/helm/v3/pkg/engine/...", "helm.sh/helm/v3/pkg/action/..."},
			why:   "templates of charts are somebody's program, and cannot be stopped: hallmark-chart runs them, in a process without keys",
		},
		{
			from: []string{"cmd/hallmark-server/...", "cmd/hallmark-controller/..."}, linked: true,
			never: []string{"attest/helm/...", "helm.sh/..."},
			why:   "the process that holds keys parses no chart of a stranger, and the cluster side has nothing to do with charts",
		},
		{
			from:  []string{"policy/...", "attest"},
			never: []string{"net", "net/http", "os", "os/exec", "log", "database/sql"},
			why:   "policy and statements are pure: no network, no files",
		},
		{
			from: all, except: []string{"cmd/...", "internal/program", "internal/reference"},
			never: []string{"github.com/spf13/cobra/...", "github.com/spf13/pflag"},
			why:   "only programs have flags; everything else has a constructor",
		},
	}
}

// callRule is about functions that packages must not call, or packages whose
// import says that they would. Packages main are always allowed to.
type callRule struct {
	from  []string
	calls map[string][]string // import path -> functions; none means any use
	why   string
}

func callRules() []callRule {
	return []callRule{
		{
			from: []string{"."},
			calls: map[string][]string{
				"os":  {"Exit"},
				"log": {"Fatal", "Fatalf", "Fatalln", "Panic", "Panicf", "Panicln"},
			},
			why: "a library that ends the process takes the decision away from its caller, and deferred clean-up with it",
		},
		{
			from:  []string{"."},
			calls: map[string][]string{"flag": nil},
			why:   "only programs have flags; everything else has a constructor",
		},
		{
			from:  []string{"policy", "policy/document", "attest"},
			calls: map[string][]string{"time": {"Now", "Since", "Until"}},
			why:   "policy and statements have no clock: the time is part of the input, so a decision can be repeated",
		},
	}
}

// maxLines is far above what a file should have (one to two hundred lines): it
// stops the slow growth that no single change is blamed for.
const maxLines = 600
