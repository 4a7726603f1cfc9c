// SPDX-License-Identifier: Apache-2.0

package helm

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"sigs.k8s.io/yaml"

	"github.com/hallmark-dev/hallmark/attest"
)

// Which images a chart refers to is read out of its rendered manifests. Of
// Kubernetes' own kinds it is known where a pod's specification is, and nothing
// else counts there. Of any other kind nobody here knows the schema, so its
// fields are gone through: what is called image, or like an operator's variable
// for one, and has the form of a reference, is taken for an image and marked as
// guessed.
//
// What cannot be known: images that an operator or an admission webhook adds in
// the cluster, that a program downloads when it runs, that are put together from
// parts in a custom resource, and those of values nobody gave here.

const (
	// MaxImages bounds the references of one chart. Umbrella charts with all
	// their dependencies have about 50.
	MaxImages = 256
	// MaxPlaces bounds the places that are kept of one image.
	MaxPlaces = 16
	// maxReference bounds a reference, bytes, as registries do.
	maxReference = 512
	// MaxManifests bounds the documents of one rendering, maxDepth how deep they
	// are.
	MaxManifests = 10_000
	maxDepth     = 64
)

// podSpecs are Kubernetes' own kinds that make pods, and where the
// specification of the pod is.
var podSpecs = map[string][]string{
	"v1/Pod":                   {"spec"},
	"v1/PodTemplate":           {"template", "spec"},
	"v1/ReplicationController": {"spec", "template", "spec"},
	"apps/Deployment":          {"spec", "template", "spec"},
	"apps/StatefulSet":         {"spec", "template", "spec"},
	"apps/DaemonSet":           {"spec", "template", "spec"},
	"apps/ReplicaSet":          {"spec", "template", "spec"},
	"extensions/Deployment":    {"spec", "template", "spec"}, // before Kubernetes 1.16
	"extensions/DaemonSet":     {"spec", "template", "spec"},
	"extensions/ReplicaSet":    {"spec", "template", "spec"},
	"batch/Job":                {"spec", "template", "spec"},
	"batch/CronJob":            {"spec", "jobTemplate", "spec", "template", "spec"},
}

// imageVariable is how operators call the variables that name the images they
// will run.
var imageVariable = regexp.MustCompile(`^(RELATED_IMAGE_[A-Z0-9_]+|([A-Z0-9_]+_)?IMAGE)$`)

// finder collects images.
type finder struct {
	found    map[string]*attest.ChartImage
	manifest int
	problems []string
}

// FindImages reads the manifests of a rendered chart, by the file they came
// from. It returns the images, sorted by reference, how many manifests it read,
// and what it could not read.
func FindImages(rendered map[string]string) (images []attest.ChartImage, manifests int, problems []string, err error) {
	f := finder{found: map[string]*attest.ChartImage{}}
	for _, file := range slices.Sorted(maps.Keys(rendered)) {
		if err := f.file(file, rendered[file]); err != nil {
			return nil, 0, nil, err
		}
	}
	for _, image := range f.found {
		image.Canonical, image.Digest = canonical(image.Reference)
		image.Pinned = image.Digest != ""
		images = append(images, *image)
	}
	slices.SortFunc(images, func(a, b attest.ChartImage) int { return cmp.Compare(a.Reference, b.Reference) })
	return images, f.manifest, f.problems, nil
}

// canonical spells a reference out, and returns the digest in it. A text that is
// no reference has neither.
func canonical(reference string) (string, attest.Digest) {
	parsed, err := name.ParseReference(reference)
	if err != nil {
		return "", ""
	}
	host := parsed.Context().RegistryStr()
	if host == name.DefaultRegistry {
		host = "docker.io"
	}
	base := host + "/" + parsed.Context().RepositoryStr()
	if _, ok := parsed.(name.Digest); ok {
		digest, err := attest.ParseDigest(parsed.Identifier())
		if err != nil {
			return "", "" // of another algorithm
		}
		return base + "@" + string(digest), digest
	}
	return base + ":" + parsed.Identifier(), ""
}

func (f *finder) file(file, text string) error {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	for _, part := range separator.Split(strings.TrimSpace(text), -1) {
		var document any
		if err := yaml.Unmarshal([]byte(part), &document); err != nil {
			f.problems = append(f.problems, fmt.Sprintf("%s: what it renders is not YAML: %s", clip(file), clip(err.Error())))
			continue
		}
		if document == nil {
			continue
		}
		if f.manifest++; f.manifest > MaxManifests {
			return refuse("it renders more than %d manifests", MaxManifests)
		}
		if err := f.object(file, document, "", "", 0); err != nil {
			return err
		}
	}
	return nil
}

// separator is what divides the manifests of a file for Helm, who also takes a
// line that goes on behind the dashes for one. What we take for one manifest must
// not be two to who installs it.
// Source: helm.sh/helm/v3/pkg/releaseutil, SplitManifests
var separator = regexp.MustCompile(`(?:^|\s*\n)---\s*`)

// object looks at one manifest. What has items is a list, whatever it is called,
// and an item that does not say what it is, is what the list is called after: so
// says Kubernetes' client.
// Source: k8s.io/apimachinery/pkg/apis/meta/v1/unstructured, decodeToList
func (f *finder) object(file string, document any, kind, version string, depth int) error {
	o, ok := document.(map[string]any)
	if !ok || depth > maxDepth {
		f.problems = append(f.problems, fmt.Sprintf("%s: it renders something that is no manifest", clip(file)))
		return nil
	}
	ownKind, _ := o["kind"].(string)
	ownVersion, _ := o["apiVersion"].(string)
	if ownKind != "" && ownVersion != "" {
		kind, version = ownKind, ownVersion
	}
	if kind == "" || version == "" {
		f.problems = append(f.problems, fmt.Sprintf("%s: a manifest without kind or apiVersion", clip(file)))
		return nil
	}
	if items, ok := o["items"].([]any); ok {
		for _, item := range items {
			if err := f.object(file, item, strings.TrimSuffix(kind, "List"), version, depth+1); err != nil {
				return err
			}
		}
		if strings.HasSuffix(kind, "List") {
			return nil
		}
	}
	// To Kubernetes "/v1" is "v1".
	group, _, grouped := strings.Cut(strings.TrimPrefix(version, "/"), "/")
	at := kind + "/" + nameOf(o)
	where, pods := podSpecs[group+"/"+kind]
	switch {
	case pods:
		spec := o
		for _, member := range where {
			spec, _ = spec[member].(map[string]any)
		}
		if _, ok := spec["containers"].([]any); !ok {
			f.problems = append(f.problems, fmt.Sprintf("%s: %s has no containers in %s", clip(file), at, strings.Join(where, ".")))
		}
		return f.podSpec(at+" "+strings.Join(where, "."), spec)
	case !grouped, builtIn[group]:
		return nil // a kind of Kubernetes' own that has no images, or a schema
	}
	return f.guess(at+" ", "", o, 0)
}

func nameOf(o map[string]any) string {
	metadata, _ := o["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	return clip(name)
}

// builtIn are the groups of Kubernetes' own kinds. Those without a group have
// no images but in pods.
var builtIn = map[string]bool{
	"apps": true, "batch": true, "policy": true, "autoscaling": true, "extensions": true,
	"rbac.authorization.k8s.io": true, "networking.k8s.io": true, "storage.k8s.io": true, "scheduling.k8s.io": true,
	"admissionregistration.k8s.io": true, "apiregistration.k8s.io": true, "certificates.k8s.io": true, "coordination.k8s.io": true,
	"discovery.k8s.io": true, "events.k8s.io": true, "flowcontrol.apiserver.k8s.io": true, "node.k8s.io": true, "resource.k8s.io": true,
	"apiextensions.k8s.io": true,
}

// podSpec takes the images of containers, and those that are mounted, and looks
// at the variables by which operators are told theirs.
func (f *finder) podSpec(at string, spec map[string]any) error {
	for _, list := range []string{"initContainers", "containers", "ephemeralContainers"} {
		containers, _ := spec[list].([]any)
		for i, item := range containers {
			place := fmt.Sprintf("%s.%s[%d]", at, list, i)
			container, ok := item.(map[string]any)
			if !ok {
				f.problems = append(f.problems, fmt.Sprintf("%s: it is no container", clip(place)))
			}
			if image, ok := container["image"]; ok {
				if err := f.add(image, place+".image", false); err != nil {
					return err
				}
			}
			if err := f.variables(place, container); err != nil {
				return err
			}
		}
	}
	volumes, _ := spec["volumes"].([]any)
	for i, item := range volumes {
		volume, _ := item.(map[string]any)
		if image, ok := volume["image"].(map[string]any); ok {
			if err := f.add(image["reference"], fmt.Sprintf("%s.volumes[%d].image.reference", at, i), false); err != nil {
				return err
			}
		}
	}
	return nil
}

// variables guesses at an operator's.
func (f *finder) variables(at string, container map[string]any) error {
	env, _ := container["env"].([]any)
	for i, item := range env {
		variable, _ := item.(map[string]any)
		name, _ := variable["name"].(string)
		value, _ := variable["value"].(string)
		if !imageVariable.MatchString(name) || !looksLikeImage(value) {
			continue
		}
		if err := f.add(value, fmt.Sprintf("%s.env[%d]", at, i), true); err != nil {
			return err
		}
	}
	return nil
}

// guess goes through a resource whose schema is not known.
func (f *finder) guess(at, member string, v any, depth int) error {
	if depth > maxDepth {
		f.problems = append(f.problems, fmt.Sprintf("%s: nested deeper than %d", clip(at), maxDepth))
		return nil
	}
	switch v := v.(type) {
	case map[string]any:
		if err := f.variables(strings.TrimSuffix(at, "."), v); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if err := f.guess(join(at, clip(name)), name, v[name], depth+1); err != nil {
				return err
			}
		}
	case []any:
		for i, item := range v {
			if err := f.guess(fmt.Sprintf("%s[%d]", at, i), member, item, depth+1); err != nil {
				return err
			}
		}
	case string:
		if lower := strings.ToLower(member); (strings.HasSuffix(lower, "image") || lower == "images") && looksLikeImage(v) {
			return f.add(v, at, true)
		}
	}
	return nil
}

func join(at, member string) string {
	if strings.HasSuffix(at, " ") || at == "" {
		return at + member
	}
	return at + "." + member
}

// looksLikeImage is for guesses: a word may be called image, too.
func looksLikeImage(s string) bool {
	if s == "" || len(s) > maxReference || !strings.ContainsAny(s, "/:@") {
		return false
	}
	_, err := name.ParseReference(s)
	return err == nil
}

func (f *finder) add(image any, place string, guessed bool) error {
	reference, ok := image.(string)
	if !ok || reference == "" || len(reference) > maxReference {
		f.problems = append(f.problems, fmt.Sprintf("%s: it is no reference to an image", clip(place)))
		return nil
	}
	known := f.found[reference]
	if known == nil {
		if len(f.found) == MaxImages {
			return refuse("it refers to more than %d images", MaxImages)
		}
		known = &attest.ChartImage{Reference: reference, Guessed: guessed}
		f.found[reference] = known
	}
	known.Guessed = known.Guessed && guessed
	if len(known.Places) < MaxPlaces && !slices.Contains(known.Places, place) {
		known.Places = append(known.Places, place)
	}
	return nil
}
