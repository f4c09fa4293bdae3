//! Setting Pulumi's marks at given places of a property map.

use super::path::{PropertyPath, Segment};
use super::value::{PropertyMap, PropertyValue};

/// Makes the value at `path` unknown. Objects on the way there are made where they are missing; where the way
/// leads into a list that is missing, or into an element that it does not have, the list as a whole becomes
/// unknown. The root is left alone.
pub fn set_unknown(map: &mut PropertyMap, path: &PropertyPath) {
    let Some((Segment::Key(key), rest)) = path.segments().split_first() else { return };
    let value = map.entry(key.clone()).or_insert(PropertyValue::Null);
    make_unknown(value, rest);
}

fn make_unknown(value: &mut PropertyValue, rest: &[Segment]) {
    let value = value.exposed_mut();
    let Some((segment, rest)) = rest.split_first() else {
        *value = PropertyValue::Unknown;
        return;
    };
    match (segment, value) {
        (_, PropertyValue::Unknown) => {}
        (Segment::Key(key), PropertyValue::Map(map)) => {
            make_unknown(map.entry(key.clone()).or_insert(PropertyValue::Null), rest);
        }
        (Segment::Key(key), value @ PropertyValue::Null) => {
            let mut child = PropertyValue::Null;
            make_unknown(&mut child, rest);
            *value = PropertyValue::Map(PropertyMap::from([(key.clone(), child)]));
        }
        (Segment::Index(index), PropertyValue::List(items)) if *index < items.len() => {
            make_unknown(&mut items[*index], rest);
        }
        (_, value) => *value = PropertyValue::Unknown,
    }
}

/// Makes the value at `path` secret, if there is one. A path into a list makes the whole list secret:
/// elements have no identity, so a mark on the second one says nothing of where that value stands after the
/// next change.
pub fn set_secret(map: &mut PropertyMap, path: &PropertyPath) {
    let keys: Vec<&str> = path
        .segments()
        .iter()
        .map_while(|segment| match segment {
            Segment::Key(key) => Some(key.as_str()),
            Segment::Index(_) => None,
        })
        .collect();
    let Some((last, parents)) = keys.split_last() else { return };
    let mut map = map;
    for key in parents {
        match map.get_mut(*key) {
            Some(PropertyValue::Map(inner)) => map = inner,
            // A secret around it covers it already; nothing there needs no mark.
            _ => return,
        }
    }
    if let Some(value) = map.get_mut(*last) {
        let plain = std::mem::replace(value, PropertyValue::Null);
        *value = plain.into_secret();
    }
}

#[cfg(test)]
mod tests {
    use super::super::map;
    use super::*;

    #[test]
    fn an_unknown_path_makes_the_objects_on_its_way() {
        let mut properties = map([]);
        set_unknown(&mut properties, &"endpoints.http.host".into());
        assert_eq!(
            properties,
            map([("endpoints", map([("http", map([("host", PropertyValue::Unknown)]).into())]).into())])
        );
    }

    #[test]
    fn an_unknown_path_into_a_missing_list_makes_the_list_unknown() {
        let mut properties = map([("short", vec![1.0.into()].into())]);
        set_unknown(&mut properties, &PropertyPath::from("hosts").index(0).key("name"));
        set_unknown(&mut properties, &PropertyPath::from("short").index(3));
        assert_eq!(properties, map([("hosts", PropertyValue::Unknown), ("short", PropertyValue::Unknown)]));
    }

    #[test]
    fn an_unknown_element_leaves_its_neighbours() {
        let mut properties = map([("list", vec![1.0.into(), 2.0.into()].into())]);
        set_unknown(&mut properties, &PropertyPath::from("list").index(1));
        assert_eq!(properties, map([("list", vec![1.0.into(), PropertyValue::Unknown].into())]));
    }

    #[test]
    fn an_unknown_below_an_unknown_changes_nothing() {
        let mut properties = map([("a", PropertyValue::Unknown)]);
        set_unknown(&mut properties, &"a.b.c".into());
        assert_eq!(properties, map([("a", PropertyValue::Unknown)]));
    }

    #[test]
    fn a_secret_in_a_list_makes_the_whole_list_secret() {
        let mut properties = map([("list", vec![1.0.into(), 2.0.into()].into()), ("plain", 3.0.into())]);
        set_secret(&mut properties, &PropertyPath::from("list").index(1).key("x"));
        let list: PropertyValue = vec![1.0.into(), 2.0.into()].into();
        assert_eq!(properties, map([("list", list.into_secret()), ("plain", 3.0.into())]));
    }

    #[test]
    fn a_secret_path_that_leads_nowhere_changes_nothing() {
        let mut properties = map([("a", 1.0.into())]);
        set_secret(&mut properties, &"a.b".into());
        set_secret(&mut properties, &"b".into());
        assert_eq!(properties, map([("a", 1.0.into())]));
    }
}
