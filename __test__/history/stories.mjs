/** Histories told by hand, and the anomalies that each of them shows. See story.mjs for how to read them. */

export const CLEAN = {
  'one after the other': `
    a begins
    a reads x
    a writes x a1
    a commits
    b begins
    b reads x a1
    b writes x a1 b1
    b commits
    p gets x a1 b1`,
  'at once, on records of their own': `
    a begins
    b begins
    a reads x
    b reads y
    a writes x a1
    b writes y b1
    b commits
    a commits`,
  'a reader that takes effect before the writer that ends first': `
    a begins
    a reads x
    b begins
    b reads y
    b writes y b1
    b commits
    a commits
    p gets x; y b1`,
  'a transaction reads what it wrote, several times over': `
    a begins
    a reads x
    a writes x a1
    a reads x a1
    a writes x a1 a2
    a reads x a1 a2
    a commits
    p gets x a1 a2`,
  'a rolled back one is seen by nobody': `
    a begins
    a reads x
    a writes x a1
    b begins
    a aborts
    b reads x
    b writes x b1
    b commits`,
  'a failed child leaves its parent as before': `
    p begins
    p reads x
    p writes x p1
    c begins in p
    c reads x p1
    c writes x p1 c1
    c reads x p1 c1
    c aborts
    p reads x p1
    p writes x p1 p2
    p commits
    q gets x p1 p2`,
  'a child that joined is seen by its parent, and later by all': `
    p begins
    c begins in p
    c writes x c1
    c commits
    p reads x c1
    q gets x
    p commits
    z gets x c1`,
  'what joined goes with its parent': `
    p begins
    c begins in p
    c writes x c1
    c commits
    p aborts
    q gets x`,
  'siblings one after the other': `
    p begins
    c begins in p
    d begins in p
    c reads x
    c writes x c1
    c commits
    d reads x c1
    d writes x c1 d1
    d commits
    p commits`,
  'an independent child stays when its parent goes': `
    p begins
    p reads x
    c begins in p, independent
    c reads x
    c writes x c1
    c commits
    q gets x c1
    p reads x c1
    p writes x c1 p1
    p aborts
    z gets x c1`,
  'what a parent read before its independent child wrote is its own affair': `
    p begins
    p reads x
    p reads y
    c begins in p, independent
    c reads x
    c writes x c1
    c writes y c2
    c commits
    p reads x c1
    p writes x c1 p1
    p commits`,
  'reads under the label alone carry no claim': `
    a begins, isolated by label
    a reads r
    s sets r 1
    a reads r 1
    t sets r 2
    a writes r a1
    a reads r a1
    a commits
    p gets r a1`,
  'an unknown outcome that somebody saw': `
    a begins
    a writes x a1
    b begins
    b reads x a1
    b writes x a1 b1
    b commits`,
  'independent children that had joined when all ended at once': `
    p begins
    p writes x p1
    c begins in p, independent
    d begins in c, independent
    d reads x p1
    q gets x`,
  'an unknown outcome that nobody saw': `
    a begins
    a writes x a1
    b begins
    b reads x
    b writes x b1
    b commits`,
  'a failed child has read what changed later': `
    p begins
    c begins in p
    c reads x
    c aborts
    q sets x q1
    p reads x q1
    p commits`,
  'registers that are replaced unseen': `
    p sets r 1
    q sets r 2
    s sets r 3
    t gets r 3`,
}

export const ANOMALIES = {
  'two wrote two records in opposite order': [['G0'], `
    a begins
    b begins
    a writes x a1
    b writes y b1
    a writes y b1 a2
    b writes x a1 b2
    a commits
    b commits`],
  'a read of what was rolled back': [['G1a'], `
    a begins
    a writes x a1
    a aborts
    p gets x a1`],
  'a write built on what was rolled back': [['G1a'], `
    a begins
    a writes x a1
    a aborts
    b begins
    b reads x a1
    b writes x a1 b1
    b commits`],
  'a failed child left its writes': [['G1a'], `
    p begins
    c begins in p
    c writes x c1
    c aborts
    p reads x c1
    p commits`],
  'a joined child was seen though its parent failed': [['G1a'], `
    p begins
    c begins in p
    c writes x c1
    c commits
    p aborts
    q gets x c1`],
  'a refused write took effect': [['G1a'], `
    p begins
    p writes x p1, refused
    p commits
    q gets x p1`],
  'a read of what was not the last': [['G-single', 'G1b'], `
    a begins
    a writes x a1
    a writes x a1 a2
    b begins
    a commits
    b reads x a1
    b commits`],
  'a read before the commit': [['dirty read'], `
    a begins
    b begins
    a writes x a1
    b reads x a1
    a commits
    b commits`],
  'two read from each other': [['G1c', 'dirty read'], `
    a begins
    b begins
    a writes x a1
    b writes y b1
    a reads y b1
    b reads x a1
    a commits
    b commits`],
  'an old x and a y that came after the new one, by way of a third': [['G-single'], `
    a begins
    a reads x
    b begins
    b writes x b1
    b commits
    c begins
    c reads x b1
    c writes y c1
    c commits
    a reads y c1
    a commits`],
  'half of a commit seen by a transaction': [['fractured read'], `
    a begins
    a reads x
    b begins
    b writes x b1
    b writes y b2
    b commits
    a reads y b2
    a commits`],
  'half of a batch seen by a plain read': [['fractured read'], `
    p sets x 0
    b begins
    b writes x 0 b1
    b writes r b2
    q begins
    b commits
    q reads x 0
    q reads r b2
    q commits`],
  'half of a commit seen by one that failed': [['fractured read'], `
    a begins
    a reads x
    b begins
    b writes x b1
    b writes y b2
    b commits
    a reads y b2
    a aborts`],
  'half of a commit seen by a child that failed': [['fractured read'], `
    p begins
    c begins in p
    c reads x
    b begins
    b writes x b1
    b writes y b2
    b commits
    c reads y b2
    c aborts
    p commits`],
  'write skew': [['G2'], `
    a begins
    b begins
    a reads x
    a reads y
    b reads x
    b reads y
    a writes x a1
    b writes y b1
    a commits
    b commits`],
  'two appended to one list': [['lost update'], `
    a begins
    b begins
    a reads x
    b reads x
    a writes x a1
    b writes x b1
    a commits
    b commits
    p gets x b1`],
  'two appended without a read on record': [['lost update'], `
    a begins
    b begins
    a writes x a1
    b writes x b1
    a commits
    b commits`],
  'two replaced one register': [['lost update'], `
    p sets r 0
    a begins
    b begins
    a reads r 0
    b reads r 0
    a writes r a1
    b writes r b1
    a commits
    b commits`],
  'a plain set between read and write': [['lost update'], `
    a begins
    a reads x
    p sets x p1
    a writes x a1
    a commits`],
  'one record read twice, and not the same': [['G-single', 'non-repeatable read'], `
    a begins
    a reads x
    p sets x p1
    a reads x p1
    a commits`],
  'own writes not seen': [['read your writes'], `
    a begins
    a writes x a1
    a reads x
    a commits`],
  'a parent does not see its child': [['read your writes'], `
    p begins
    c begins in p
    c writes x c1
    c commits
    p reads x
    p commits`],
  'a child does not see its parent': [['read your writes'], `
    p begins
    p writes x p1
    c begins in p
    c reads x
    c commits
    p commits`],
  'a late plain read': [['strict serializability'], `
    p sets x 1
    q gets x`],
  'a commit that was lost': [['strict serializability'], `
    p sets x 1
    a begins
    a reads x 1
    a writes x 1 a1
    a commits
    q gets x 1`],
  'a register goes back': [['strict serializability'], `
    p sets r 1
    q sets r 2
    s gets r 1`],
  'a register was never set': [['strict serializability'], `
    p sets r 1
    s gets r`],
  'an order against time, by way of a third': [['strict serializability'], `
    a begins
    a reads x
    b begins
    b writes x b1
    b commits
    c begins
    c writes y c1
    c commits
    a reads y c1
    a commits`],
  'a value that nobody wrote': [['garbage read'], `
    p gets r 1`],
  'a value of another record': [['garbage read'], `
    p sets r 1
    q gets r2 1`],
  'a version twice': [['duplicate version'], `
    p sets x 1
    q gets x 1 1`],
  'two orders of one list': [['G-single', 'G0', 'incompatible order'], `
    a begins
    b begins
    a writes x a1
    b writes x a1 b1
    a commits
    b commits
    p gets x b1 a1`],
  'a list without its head': [['incompatible order'], `
    p sets x 1
    q sets x 1 2
    s gets x 2`],
  'a call that was answered after the end': [['late call'], `
    a begins
    a commits
    a reads x`],
  'siblings appended to one list at once': [['lost update'], `
    p begins
    c begins in p
    d begins in p
    c reads x
    d reads x
    c writes x c1
    d writes x d1
    c commits
    d commits
    p commits`],
  'a sibling read what was not handed over': [['dirty read'], `
    p begins
    c begins in p
    d begins in p
    c writes x c1
    d reads x c1
    c commits
    d commits
    p commits`],
  'write skew of siblings': [['G2'], `
    p begins
    c begins in p
    d begins in p
    c reads x
    c reads y
    d reads x
    d reads y
    c writes x c1
    d writes y d1
    c commits
    d commits
    p commits`],
  'an independent child and a stranger': [['lost update'], `
    p begins
    c begins in p, independent
    c reads x
    s begins
    s reads x
    s writes x s1
    s commits
    c writes x c1
    c commits
    p commits`],
  'a parent of an independent child, and a stranger': [['lost update'], `
    p begins
    p reads x
    s begins
    s reads x
    s writes x s1
    s commits
    c begins in p, independent
    c reads y
    c commits
    p writes x p1
    p commits`],
  'an independent child read what its parent had not committed': [['dirty read'], `
    p begins
    p writes x p1
    c begins in p, independent
    c reads x p1
    c commits
    p commits`],
  'a write under the label alone replaces what another has read': [['G-single'], `
    b begins
    b reads r
    a begins, isolated by label
    a writes r a1
    a writes z a2
    a commits
    c begins
    c reads z a2
    c writes y c1
    c commits
    b reads y c1
    b commits`],
}
